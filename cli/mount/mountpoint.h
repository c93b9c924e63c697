#pragma once
/// The place of a mount: fit to be mounted on, and what is mounted there now.

#include "cli/mount/failure.h"

#include <optional>
#include <string>
#include <vector>

#include <boost/system/result.hpp>
#include <sys/types.h>

namespace holdfast::cli {

/// Absolute and without symbolic links; a directory, not yet a mount point.
[[nodiscard]] boost::system::result<std::string, Failure> check_mountpoint(const std::string& path);
/// /dev/fuse is there and we may use it.
[[nodiscard]] boost::system::result<void, Failure> check_fuse();

/// A line of /proc/self/mountinfo.
struct MountedHere {
  unsigned minor_device = 0;  ///< of the connection: /sys/fs/fuse/connections/<it>
  std::string path;
  std::string type;
  std::string source;
  std::string options;  ///< of the file system: "rw,user_id=0,group_id=0"
};
/// All that this process sees; none if that cannot be read.
[[nodiscard]] std::vector<MountedHere> mounts_here();
/// The topmost mount whose mount point is `path` (absolute, lexically clean).
[[nodiscard]] std::optional<MountedHere> mount_at(const std::string& path);
[[nodiscard]] std::vector<MountedHere> parse_mountinfo(const std::string& text);

/// `path` made absolute without touching the file system: works on a dead mount too.
[[nodiscard]] std::string absolute_path(const std::string& path);

}  // namespace holdfast::cli
