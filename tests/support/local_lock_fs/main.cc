// The control of the torture suite: a FUSE pass-through of a directory that leaves locks to the
// kernel of each mount. Two mounts of one directory are the classic broken shared filesystem:
// everything looks right from one mount, and two of them do not know of each other's locks.
//
//   local_lock_fs [--grant-all] DIRECTORY MOUNTPOINT [-f] [-o ...]
//
// With --grant-all the kernel does ask, and gets every lock at once, whoever else has it: what a
// lock costs at least on any filesystem in FUSE that decides about locks (tools/bench). Pages are
// cached then.
//
// Data is never wrong by itself: direct_io and zero timeouts, so only the locks are to blame.

#define FUSE_USE_VERSION 314

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <dirent.h>
#include <fcntl.h>
#include <fuse.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace {

// NOLINTNEXTLINE: the high-level API hands no context to free functions cheaply
std::string g_root;
bool g_grant_all = false;  // NOLINT: the same

std::string real(const char* path) {
  return g_root + path;
}
int result(long code) {
  return code < 0 ? -errno : static_cast<int>(code);
}

// No .lock and no .flock: libfuse then does not offer FUSE_POSIX_LOCKS and FUSE_FLOCK_LOCKS, and
// the kernel keeps the locks of this mount to itself.
void* do_init(fuse_conn_info*, fuse_config* config) {
  config->use_ino = 1;
  config->nullpath_ok = 0;
  config->direct_io = g_grant_all ? 0 : 1;
  config->entry_timeout = 0;
  config->negative_timeout = 0;
  config->attr_timeout = 0;
  return nullptr;
}

int do_getattr(const char* path, struct stat* out, fuse_file_info* info) {
  return result(info != nullptr ? ::fstat(static_cast<int>(info->fh), out)
                                : ::lstat(real(path).c_str(), out));
}
int do_readdir(const char* path, void* buffer, fuse_fill_dir_t fill, off_t, fuse_file_info*,
               fuse_readdir_flags) {
  DIR* dir = ::opendir(real(path).c_str());
  if (dir == nullptr) return -errno;
  while (const dirent* entry = ::readdir(dir))
    fill(buffer, entry->d_name, nullptr, 0, fuse_fill_dir_flags{});
  ::closedir(dir);
  return 0;
}
int do_open(const char* path, fuse_file_info* info) {
  // O_DIRECT is between the kernel and us; libfuse's buffers are not aligned for more.
  const int fd = ::open(real(path).c_str(), (info->flags & ~(O_NOFOLLOW | O_DIRECT)) | O_CLOEXEC);
  if (fd < 0) return -errno;
  info->fh = static_cast<std::uint64_t>(fd);
  return 0;
}
int do_create(const char* path, mode_t mode, fuse_file_info* info) {
  const int fd = ::open(real(path).c_str(), info->flags | O_CREAT | O_CLOEXEC, mode);
  if (fd < 0) return -errno;
  info->fh = static_cast<std::uint64_t>(fd);
  return 0;
}
int do_read(const char*, char* data, size_t size, off_t at, fuse_file_info* info) {
  return result(::pread(static_cast<int>(info->fh), data, size, at));
}
int do_write(const char*, const char* data, size_t size, off_t at, fuse_file_info* info) {
  return result(::pwrite(static_cast<int>(info->fh), data, size, at));
}
int do_truncate(const char* path, off_t size, fuse_file_info* info) {
  return result(info != nullptr ? ::ftruncate(static_cast<int>(info->fh), size)
                                : ::truncate(real(path).c_str(), size));
}
int do_release(const char*, fuse_file_info* info) {
  return result(::close(static_cast<int>(info->fh)));
}
int do_fsync(const char*, int data_only, fuse_file_info* info) {
  const int fd = static_cast<int>(info->fh);
  return result(data_only != 0 ? ::fdatasync(fd) : ::fsync(fd));
}
int do_fsyncdir(const char*, int, fuse_file_info*) {
  return 0;
}
int do_unlink(const char* path) {
  return result(::unlink(real(path).c_str()));
}
int do_mkdir(const char* path, mode_t mode) {
  return result(::mkdir(real(path).c_str(), mode));
}
int do_rmdir(const char* path) {
  return result(::rmdir(real(path).c_str()));
}
int do_rename(const char* from, const char* to, unsigned flags) {
  if (flags != 0) return -EINVAL;
  return result(::rename(real(from).c_str(), real(to).c_str()));
}
int do_chmod(const char* path, mode_t mode, fuse_file_info*) {
  return result(::chmod(real(path).c_str(), mode));
}
int do_chown(const char* path, uid_t uid, gid_t gid, fuse_file_info*) {
  return result(::lchown(real(path).c_str(), uid, gid));
}
int do_utimens(const char* path, const timespec times[2], fuse_file_info*) {
  return result(::utimensat(AT_FDCWD, real(path).c_str(), times, AT_SYMLINK_NOFOLLOW));
}
int do_statfs(const char* path, struct statvfs* out) {
  return result(::statvfs(real(path).c_str(), out));
}
int do_access(const char* path, int mode) {
  return result(::access(real(path).c_str(), mode));
}
int do_lock(const char*, fuse_file_info*, int command, struct flock* lock) {
  if (command == F_GETLK) lock->l_type = F_UNLCK;
  return 0;
}
int do_flock(const char*, fuse_file_info*, int) {
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  g_grant_all = argc > 1 && std::string(argv[1]) == "--grant-all";
  if (g_grant_all) {
    --argc;
    ++argv;
  }
  if (argc < 3) {
    std::fprintf(stderr,
                 "usage: local_lock_fs [--grant-all] DIRECTORY MOUNTPOINT [FUSE options]\n");
    return 2;
  }
  char* resolved = ::realpath(argv[1], nullptr);
  if (resolved == nullptr) {
    std::perror(argv[1]);
    return 2;
  }
  g_root = resolved;
  std::free(resolved);
  argv[1] = argv[0];

  fuse_operations operations{};
  operations.init = do_init;
  operations.getattr = do_getattr;
  operations.readdir = do_readdir;
  operations.open = do_open;
  operations.create = do_create;
  operations.read = do_read;
  operations.write = do_write;
  operations.truncate = do_truncate;
  operations.release = do_release;
  operations.fsync = do_fsync;
  operations.fsyncdir = do_fsyncdir;
  operations.unlink = do_unlink;
  operations.mkdir = do_mkdir;
  operations.rmdir = do_rmdir;
  operations.rename = do_rename;
  operations.chmod = do_chmod;
  operations.chown = do_chown;
  operations.utimens = do_utimens;
  operations.statfs = do_statfs;
  operations.access = do_access;
  if (g_grant_all) {
    operations.lock = do_lock;
    operations.flock = do_flock;
  }
  return fuse_main(argc - 1, argv + 1, &operations, nullptr);
}
