#include "deploy/csi/node/mounts.h"

#include "holdfast/base/log.h"
#include "holdfast/base/unique_fd.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::csi {
namespace {

constexpr unsigned kStackedMax = 16;

Refusal failed(std::string_view what, const std::string& path, int error) {
  return {Code::kInternal, fmt::format("{} {}: {}", what, printable(path), std::strerror(error))};
}

}  // namespace

MountTable current_mounts() {
  return MountTable(read_mountinfo());
}

Answer<std::string> table_path(const std::string& path) {
  namespace stdfs = std::filesystem;
  stdfs::path wanted = stdfs::path(path).lexically_normal();
  if (!wanted.has_filename()) wanted = wanted.parent_path();
  if (!wanted.is_absolute() || !wanted.has_filename() || path.find('\0') != std::string::npos)
    return Refusal{Code::kInvalidArgument,
                   fmt::format("\"{}\" is not an absolute path", printable(path))};
  std::error_code error;
  const auto parent = stdfs::canonical(wanted.parent_path(), error);
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory)
    return Refusal{Code::kNotFound,
                   fmt::format("{} does not exist", printable(wanted.parent_path()))};
  if (error) return failed("looking at", wanted.parent_path(), error.value());
  return (parent / wanted.filename()).string();
}

// The calls of Linux 5.12: mount(2) would make it writable first and read-only in a second step,
// and a driver that is killed in between leaves what nobody asked for.
Done bind_mount(const std::string& source, const std::string& target, Access access) {
  const UniqueFd tree(::open_tree(AT_FDCWD, source.c_str(),
                                  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW));
  if (!tree) return failed("cannot clone the mount", source, errno);
  if (access == Access::kReadOnly) {
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) != 0)
      return failed("cannot make read-only (Linux 5.12 is needed) the mount of", source, errno);
  }
  if (::move_mount(tree.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return failed("cannot bind to", target, errno);
  return {};
}

Done detach(const std::string& path) {
  if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL) return {};
  return failed("cannot detach", path, errno);
}

Done unmount_all(const std::string& path) {
  for (unsigned n = 0; n < kStackedMax; ++n) {
    const auto mount = current_mounts().at(path);
    if (!mount) return {};
    if (!mount->is_holdfast())
      return Refusal{Code::kFailedPrecondition,
                     fmt::format("{} ({}) is mounted at {}: not ours to unmount",
                                 printable(mount->source), mount->type, printable(path))};
    if (::umount2(path.c_str(), UMOUNT_NOFOLLOW) == 0 || errno == EINVAL) continue;
    if (errno != EBUSY) return failed("cannot unmount", path, errno);
    // A leaked process must not keep a pod from ending for ever.
    log::warn("node.busy", "path={} note=\"detached; its users keep it until they end\"",
              printable(path));
    if (auto detached = detach(path); !detached) return detached;
  }
  return Refusal{Code::kInternal,
                 fmt::format("{}: too many mounts on top of each other", printable(path))};
}

Done make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0750) == 0 || errno == EEXIST) return {};
  return failed("cannot make", path, errno);
}

Done remove_directory(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
  return failed("cannot remove the directory", path, errno);
}

}  // namespace holdfast::csi
