#include "fs/fuse/convert.h"

#include <sys/sysmacros.h>

namespace holdfast::fs {
namespace {
constexpr std::uint32_t kModeBits = 07777;
constexpr blksize_t kBlockSize = 4096;
constexpr std::uint64_t kSectorSize = 512;  // stat(2): the unit of st_blocks
}  // namespace

mode_t to_mode_type(FileType type) {
  switch (type) {
    case FileType::kRegular:
      return S_IFREG;
    case FileType::kDirectory:
      return S_IFDIR;
    case FileType::kBlock:
      return S_IFBLK;
    case FileType::kCharacter:
      return S_IFCHR;
    case FileType::kSymlink:
      return S_IFLNK;
    case FileType::kSocket:
      return S_IFSOCK;
    case FileType::kFifo:
      return S_IFIFO;
  }
  return 0;
}

std::optional<FileType> special_type(mode_t mode) {
  if (S_ISFIFO(mode)) return FileType::kFifo;
  if (S_ISSOCK(mode)) return FileType::kSocket;
  if (S_ISCHR(mode)) return FileType::kCharacter;
  if (S_ISBLK(mode)) return FileType::kBlock;
  return std::nullopt;
}

struct stat to_stat(const Attributes& attributes) {
  struct stat out {};
  out.st_ino = attributes.fileid;
  out.st_mode = to_mode_type(attributes.type) | (attributes.mode & kModeBits);
  out.st_nlink = attributes.nlink;
  out.st_uid = attributes.uid;
  out.st_gid = attributes.gid;
  out.st_rdev = makedev(attributes.rdev_major, attributes.rdev_minor);
  out.st_size = static_cast<off_t>(attributes.size);
  out.st_blksize = kBlockSize;
  out.st_blocks = static_cast<blkcnt_t>((attributes.used + kSectorSize - 1) / kSectorSize);
  out.st_atim = attributes.atime;
  out.st_mtim = attributes.mtime;
  out.st_ctim = attributes.ctime;
  return out;
}

SetAttributes to_set_attributes(const struct stat& wanted, int valid) {
  SetAttributes change;
  if ((valid & FUSE_SET_ATTR_MODE) != 0) change.mode = wanted.st_mode & kModeBits;
  if ((valid & FUSE_SET_ATTR_UID) != 0) change.uid = wanted.st_uid;
  if ((valid & FUSE_SET_ATTR_GID) != 0) change.gid = wanted.st_gid;
  if ((valid & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<std::uint64_t>(wanted.st_size);
  if ((valid & FUSE_SET_ATTR_ATIME_NOW) != 0) {
    change.atime = SetAttributes::Time{true, {}};
  } else if ((valid & FUSE_SET_ATTR_ATIME) != 0) {
    change.atime = SetAttributes::Time{false, wanted.st_atim};
  }
  if ((valid & FUSE_SET_ATTR_MTIME_NOW) != 0) {
    change.mtime = SetAttributes::Time{true, {}};
  } else if ((valid & FUSE_SET_ATTR_MTIME) != 0) {
    change.mtime = SetAttributes::Time{false, wanted.st_mtim};
  }
  return change;
}

std::optional<ByteRange> to_range(const struct flock& lock) {
  if (lock.l_start < 0 || lock.l_len < 0) return std::nullopt;
  const auto start = static_cast<std::uint64_t>(lock.l_start);
  const auto end =
      lock.l_len == 0 ? ByteRange::kEnd : start + static_cast<std::uint64_t>(lock.l_len);
  return ByteRange::make(start, end);
}

struct flock to_flock(const std::optional<Conflict>& conflict) {
  struct flock out {};
  out.l_whence = SEEK_SET;
  out.l_type = F_UNLCK;
  if (!conflict) return out;
  out.l_type = conflict->mode == LockMode::kExclusive ? F_WRLCK : F_RDLCK;
  out.l_start = static_cast<off_t>(conflict->range.start());
  const bool to_end = conflict->range.end() == ByteRange::kEnd;
  out.l_len = to_end ? 0 : static_cast<off_t>(conflict->range.end() - conflict->range.start());
  out.l_pid = conflict->same_session ? static_cast<pid_t>(conflict->pid) : 0;
  return out;
}

}  // namespace holdfast::fs
