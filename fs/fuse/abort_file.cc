#include "fs/fuse/abort_file.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/mount.h>

namespace holdfast::fs {
namespace {

/// Mounted, but nowhere: there is one fusectl in the kernel, and all mounts of it show the same.
UniqueFd mount_fusectl() {
  const UniqueFd context(::fsopen("fusectl", FSOPEN_CLOEXEC));
  if (!context) return {};
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return {};
  return UniqueFd(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
}

}  // namespace

Result<UniqueFd> open_abort_file(const std::string& connection) {
  const std::string file = connection + "/abort";
  constexpr int kFlags = O_WRONLY | O_CLOEXEC;
  UniqueFd usual(::open(("/sys/fs/fuse/connections/" + file).c_str(), kFlags));
  if (usual) return usual;
  const ErrorCode absent = errno_code(errno);
  const UniqueFd root = mount_fusectl();
  if (!root) return absent;
  UniqueFd ours(::openat(root.get(), file.c_str(), kFlags));
  if (ours) return ours;
  return absent;
}

}  // namespace holdfast::fs
