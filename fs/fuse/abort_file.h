#pragma once
/// The file of fusectl that ends a connection to the kernel by force.

#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"

#include <string>

namespace holdfast::fs {

/// Opened to be written: whatever is written ends `connection` (its number: the mount's minor
/// device number), and everything that waits for it gets ENOTCONN. An open file never means a later
/// mount that has the same number. Also where fusectl is not mounted, with CAP_SYS_ADMIN. Source:
/// linux: Documentation/filesystems/fuse.rst, "Control filesystem".
[[nodiscard]] Result<UniqueFd> open_abort_file(const std::string& connection);

}  // namespace holdfast::fs
