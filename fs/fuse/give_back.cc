#include "fs/fuse/give_back.h"

#include "holdfast/base/log.h"
#include "holdfast/base/unique_fd.h"

#include <atomic>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::fs {
namespace {

/// Not the rule: say it once.
void unavailable(const char* what, int error) {
  static std::atomic<bool> said = false;
  if (said.exchange(true)) return;
  log::warn("fuse.inodes_unbounded",
            "call={} error=\"{}\" effect=\"the kernel keeps as many inodes as it likes, and this "
            "mount has to remember them\"",
            what, std::strerror(error));
}

/// Nothing if something else is at `mountpoint` by now.
UniqueFd pick(const std::string& mountpoint, unsigned device_minor) {
  // Closed before the call that takes its time: the mount could not be unmounted.
  const UniqueFd root(::open(mountpoint.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct statx there {};
  if (!root ||
      ::statx(root.get(), "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &there) != 0 ||
      there.stx_dev_major != 0 || there.stx_dev_minor != device_minor)
    return {};
  UniqueFd picked(
      static_cast<int>(::syscall(SYS_fspick, root.get(), "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH)));
  if (!picked) unavailable("fspick", errno);
  return picked;
}

}  // namespace

void give_back(const std::string& mountpoint, unsigned device_minor) {
  const UniqueFd picked = pick(mountpoint, device_minor);
  if (!picked) return;
  const auto failed =
      ::syscall(SYS_fsconfig, picked.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0);
  if (failed != 0) unavailable("fsconfig", errno);
}

}  // namespace holdfast::fs
