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

bool is_at(const std::string& mountpoint, unsigned device_minor) {
  struct statx there {};
  return ::statx(AT_FDCWD, mountpoint.c_str(), AT_STATX_DONT_SYNC, STATX_INO, &there) == 0 &&
         there.stx_dev_major == 0 && there.stx_dev_minor == device_minor;
}

}  // namespace

// No descriptor of the mountpoint stays open in between: umount would find the mount busy. So
// another mount may be there by now, which loses nothing by it either.
void give_back(const std::string& mountpoint, unsigned device_minor) {
  if (!is_at(mountpoint, device_minor)) return;
  const UniqueFd picked(
      static_cast<int>(::syscall(SYS_fspick, AT_FDCWD, mountpoint.c_str(), FSPICK_CLOEXEC)));
  if (!picked) return unavailable("fspick", errno);
  const auto failed =
      ::syscall(SYS_fsconfig, picked.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0);
  if (failed != 0) unavailable("fsconfig", errno);
}

}  // namespace holdfast::fs
