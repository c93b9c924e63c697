#pragma once
/// The errno that FUSE is answered with. Pure.

#include "holdfast/base/result.h"

namespace holdfast::fs {

/// As to_errno(), and never ENOSYS: the kernel would take it as "this filesystem has no such call"
/// and not ask again until the next mount (linux: fs/fuse, fc->no_*). Nor 0, nor a value that a
/// user never sees (512 and above are the kernel's own restart codes).
[[nodiscard]] int to_fuse_errno(const ErrorCode& code);

}  // namespace holdfast::fs
