#include "cli/mount/mountpoint.h"

#include "holdfast/base/unique_fd.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

namespace holdfast::cli {
std::string absolute_path(const std::string& path) {
  auto out = std::filesystem::absolute(path).lexically_normal().string();
  while (out.size() > 1 && out.ends_with('/'))
    out.pop_back();
  return out;
}

std::optional<MountInfo> mount_at(const std::string& path) {
  std::optional<MountInfo> found;
  for (auto& mount : read_mountinfo()) {
    if (mount.path == path) found = std::move(mount);  // later lines are mounted on top
  }
  return found;
}

boost::system::result<std::string, Failure> check_mountpoint(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOTCONN)
      return Failure{kExitMount, fmt::format("{} holds a mount whose process has died", path),
                     fmt::format("holdfast unmount {}", path)};
    if (errno == ENOENT)
      return Failure{kExitMount, fmt::format("the mount point {} does not exist", path),
                     fmt::format("mkdir {}", path)};
    return Failure{kExitMount, fmt::format("the mount point {}: {}", path, std::strerror(errno)),
                   ""};
  }
  if (!S_ISDIR(status.st_mode))
    return Failure{kExitMount, fmt::format("the mount point {} is not a directory", path), ""};
  std::error_code failed;
  const auto real = std::filesystem::canonical(path, failed);
  if (failed)
    return Failure{kExitMount, fmt::format("the mount point {}: {}", path, failed.message()), ""};
  if (const auto there = mount_at(real.string()))
    return Failure{kExitMount,
                   fmt::format("{} is busy: {} ({}) is mounted there", real.string(), there->source,
                               there->type),
                   fmt::format("holdfast unmount {}, or choose another directory", real.string())};
  return real.string();
}

boost::system::result<void, Failure> check_fuse() {
  const UniqueFd device(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
  if (device) return {};
  if (errno == EACCES || errno == EPERM)
    return Failure{kExitMount, fmt::format("/dev/fuse cannot be opened: {}", std::strerror(errno)),
                   "mount as root, or allow the device in your container"};
  return Failure{kExitMount, fmt::format("no /dev/fuse on this machine ({})", std::strerror(errno)),
                 "load the fuse module (modprobe fuse), or allow the device in your container"};
}

}  // namespace holdfast::cli
