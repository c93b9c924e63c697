#include "fs/core/errno_map.h"

namespace holdfast::fs {
namespace {
constexpr int kRestartCodes = 512;  // linux: include/linux/errno.h, ERESTARTSYS
}

int to_fuse_errno(const ErrorCode& code) {
  const int value = to_errno(code);
  switch (value) {
    case ENOSYS:
      return EOPNOTSUPP;
    case ECANCELED:  // the mount is going away: as the kernel says of one that has gone
      return ENOTCONN;
    default:
      return value > 0 && value < kRestartCodes ? value : EIO;
  }
}

}  // namespace holdfast::fs
