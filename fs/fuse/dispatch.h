#pragma once
/// libfuse's callbacks: copy the arguments, start the operation's coroutine.

#include "fs/fuse/fuse_api.h"

namespace holdfast::fs {

/// Userdata of the session that gets these must be a SessionUser.
[[nodiscard]] fuse_lowlevel_ops operation_table();

}  // namespace holdfast::fs
