#include "cli/torture/file_lock.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {
int command(LockKind kind, Wait wait) {
  if (kind == LockKind::kOfd) return wait == Wait::kYes ? F_OFD_SETLKW : F_OFD_SETLK;
  return wait == Wait::kYes ? F_SETLKW : F_SETLK;
}

int set(int fd, LockKind kind, short type, Wait wait, off_t start, off_t length) {
  struct flock request {};  // l_pid must be 0 for OFD
  request.l_type = type;
  request.l_whence = SEEK_SET;
  request.l_start = start;
  request.l_len = length;
  return ::fcntl(fd, command(kind, wait), &request) == 0 ? 0 : errno;
}
}  // namespace

const char* name_of(LockKind kind) {
  switch (kind) {
    case LockKind::kPosix:
      return "fcntl";
    case LockKind::kOfd:
      return "ofd";
    case LockKind::kFlock:
      return "flock";
  }
  return "?";
}

int lock(int fd, LockKind kind, Access access, Wait wait, off_t start, off_t length) {
  if (kind == LockKind::kFlock) {
    const int how = access == Access::kExclusive ? LOCK_EX : LOCK_SH;
    return ::flock(fd, wait == Wait::kYes ? how : how | LOCK_NB) == 0 ? 0 : errno;
  }
  const short type = access == Access::kExclusive ? F_WRLCK : F_RDLCK;
  return set(fd, kind, type, wait, start, length);
}

int unlock(int fd, LockKind kind, off_t start, off_t length) {
  if (kind == LockKind::kFlock) return ::flock(fd, LOCK_UN) == 0 ? 0 : errno;
  return set(fd, kind, F_UNLCK, Wait::kNo, start, length);
}

}  // namespace holdfast::torture
