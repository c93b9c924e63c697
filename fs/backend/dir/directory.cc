#include "fs/backend/dir/directory.h"

#include "fs/backend/dir/dir_backend.h"

#include <climits>
#include <utility>

#include <fcntl.h>
#include <sys/random.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::fs {

Result<std::unique_ptr<Backend>> make_dir_backend(asio::any_io_executor executor,
                                                  const std::string& path) {
  UniqueFd root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return errno_code(errno);
  struct statvfs filesystem {};
  if (::fstatvfs(root.get(), &filesystem) != 0) return errno_code(errno);
  auto handles = dir::Handles::make(std::move(root));
  if (!handles) return handles.error();
  // Another one for each process: its death loses nothing that the kernel took, but writers need
  // not know that.
  WriteVerifier verifier = 0;
  if (::getrandom(&verifier, sizeof(verifier), 0) != sizeof(verifier)) return errno_code(EIO);
  return std::unique_ptr<Backend>(
      std::make_unique<dir::Directory>(std::move(executor), path, std::move(*handles), verifier,
                                       static_cast<std::uint32_t>(filesystem.f_namemax)));
}

}  // namespace holdfast::fs

namespace holdfast::fs::dir {
namespace {

FileType file_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return FileType::kDirectory;
    case S_IFBLK:
      return FileType::kBlock;
    case S_IFCHR:
      return FileType::kCharacter;
    case S_IFLNK:
      return FileType::kSymlink;
    case S_IFSOCK:
      return FileType::kSocket;
    case S_IFIFO:
      return FileType::kFifo;
    default:
      return FileType::kRegular;
  }
}

constexpr std::uint32_t kTransferMax = 1U << 20;
constexpr std::uint32_t kReaddirPreferred = 64U << 10;

}  // namespace

Attributes to_attributes(const struct stat& status) {
  Attributes out;
  out.type = file_type(status.st_mode);
  out.mode = status.st_mode & 07777;
  out.nlink = static_cast<std::uint32_t>(status.st_nlink);
  out.uid = status.st_uid;
  out.gid = status.st_gid;
  out.size = static_cast<std::uint64_t>(status.st_size);
  out.used = static_cast<std::uint64_t>(status.st_blocks) * 512;
  out.rdev_major = major(status.st_rdev);
  out.rdev_minor = minor(status.st_rdev);
  out.fsid = status.st_dev;
  out.fileid = status.st_ino;
  out.atime = status.st_atim;
  out.mtime = status.st_mtim;
  out.ctime = status.st_ctim;
  return out;
}

Directory::Directory(asio::any_io_executor executor, std::string path, Handles handles,
                     WriteVerifier verifier, std::uint32_t name_max)
    : path_(std::move(path)),
      privilege_(Privilege::current()),
      handles_(std::move(handles)),
      open_files_(privilege_, handles_),
      sync_thread_(executor),
      open_gate_(executor),
      verifier_(verifier) {
  limits_.read_max = kTransferMax;
  limits_.write_max = kTransferMax;
  limits_.readdir_preferred = kReaddirPreferred;
  limits_.file_size_max = INT64_MAX;  // the filesystem itself answers EFBIG
  limits_.name_max = name_max;
  limits_.link_max = 65'000;  // ext4's, the lowest of the usual ones; the filesystem answers EMLINK
  limits_.time_granularity = {0, 1};
  open_gate_.set();
}

Backend::Awaitable<void> Directory::enter() {
  while (!stopped_ && !open_gate_.is_set())
    co_await open_gate_.wait();
  if (stopped_) co_return errno_code(ECANCELED);
  co_return Result<void>();
}

asio::awaitable<void> Directory::stop() {
  stopped_ = true;
  open_gate_.set();
  co_await sync_thread_.stop();
}

Result<Node> Directory::directory(const FileHandle& handle) {
  auto node = handles_.open(handle);
  if (!node) return node;
  if (!S_ISDIR(node->status.st_mode)) return errno_code(ENOTDIR);
  return node;
}

Backend::Awaitable<Entry> Directory::root() {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = handles_.open(handles_.root());
  if (!node) co_return node.error();
  co_return Entry{handles_.root(), to_attributes(node->status)};
}

Backend::Awaitable<Attributes> Directory::getattr(Credentials, FileHandle file) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = handles_.open(file);
  if (!node) co_return node.error();
  co_return to_attributes(node->status);
}

Backend::Awaitable<std::uint32_t> Directory::access(Credentials who, FileHandle file,
                                                    std::uint32_t wanted) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = handles_.open(file);
  if (!node) co_return node.error();
  const Acting acting(privilege_, who);
  std::uint32_t granted = 0;
  for (const int bit : {R_OK, W_OK, X_OK}) {
    const auto asked = wanted & static_cast<std::uint32_t>(bit);
    // AT_EACCESS: judged by the fsuid, not by the real user of this process.
    if (asked != 0 && ::faccessat(node->fd.get(), "", bit, AT_EACCESS | AT_EMPTY_PATH) == 0)
      granted |= asked;
  }
  co_return granted;
}

Backend::Awaitable<std::string> Directory::readlink(Credentials, FileHandle link) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  auto node = handles_.open(link);
  if (!node) co_return node.error();
  if (!S_ISLNK(node->status.st_mode)) co_return errno_code(EINVAL);
  std::string target(PATH_MAX, '\0');
  const ssize_t length = ::readlinkat(node->fd.get(), "", target.data(), target.size());
  if (length < 0) co_return errno_code(errno);
  target.resize(static_cast<std::size_t>(length));
  co_return target;
}

Backend::Awaitable<FilesystemStat> Directory::fsstat(Credentials) {
  if (auto entered = co_await enter(); !entered) co_return entered.error();
  struct statvfs now {};
  if (::fstatvfs(handles_.root_fd(), &now) != 0) co_return errno_code(errno);
  FilesystemStat out;
  out.total_bytes = now.f_blocks * now.f_frsize;
  out.free_bytes = now.f_bfree * now.f_frsize;
  out.available_bytes = now.f_bavail * now.f_frsize;
  out.total_files = now.f_files;
  out.free_files = now.f_ffree;
  out.available_files = now.f_favail;
  co_return out;
}

}  // namespace holdfast::fs::dir
