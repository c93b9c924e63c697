#pragma once
/// The place of a mount: fit to be mounted on, and what is mounted there now.

#include "cli/mount/failure.h"
#include "holdfast/base/mountinfo.h"

#include <optional>
#include <string>

#include <boost/system/result.hpp>
#include <sys/types.h>

namespace holdfast::cli {

/// Absolute and without symbolic links; a directory, not yet a mount point.
[[nodiscard]] boost::system::result<std::string, Failure> check_mountpoint(const std::string& path);
/// /dev/fuse is there and we may use it.
[[nodiscard]] boost::system::result<void, Failure> check_fuse();

/// The topmost mount whose mount point is `path` (absolute, lexically clean).
[[nodiscard]] std::optional<MountInfo> mount_at(const std::string& path);

/// `path` made absolute without touching the file system: works on a dead mount too.
[[nodiscard]] std::string absolute_path(const std::string& path);

}  // namespace holdfast::cli
