#include "fs/backend/dir/handles.h"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::fs::dir {
namespace {

// First byte of a handle: which of the two kinds it is.
constexpr std::uint8_t kKernelHandle = 1;
constexpr std::uint8_t kInodeAndBirth = 2;
constexpr std::size_t kKernelBytesMax = FileHandle::kSizeMax - 1 - sizeof(std::int32_t);
// Deep enough for any path (PATH_MAX / 2), and an end to a loop of stale names.
constexpr int kDepthMax = 2048;

// The kernel's struct file_handle with room for its bytes.
struct KernelHandle {
  alignas(struct file_handle) unsigned char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
  KernelHandle() : space{} { get()->handle_bytes = MAX_HANDLE_SZ; }
  struct file_handle* get() {
    return reinterpret_cast<struct file_handle*>(space);
  }
};

template <class T>
void append(FileHandle& handle, const T& value) {
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(&value);
  handle.bytes.insert(handle.bytes.end(), bytes, bytes + sizeof(T));
}

FileHandle inode_and_birth(int fd, const struct stat& status, dev_t root_device) {
  FileHandle handle;
  handle.bytes.push_back(kInodeAndBirth);
  append(handle, static_cast<std::uint64_t>(status.st_ino));
  // Birth time tells a reused inode number from the file that had it before.
  struct statx birth {};
  const bool known = ::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &birth) == 0 &&
                     (birth.stx_mask & STATX_BTIME) != 0;
  append(handle, known ? static_cast<std::int64_t>(birth.stx_btime.tv_sec) : std::int64_t{0});
  append(handle, known ? birth.stx_btime.tv_nsec : std::uint32_t{0});
  // Device numbers differ from node to node, so the root's own stays out; subvolumes need theirs.
  append(handle, status.st_dev == root_device ? std::uint64_t{0}
                                              : static_cast<std::uint64_t>(status.st_dev));
  return handle;
}

Result<UniqueFd> duplicate(int fd) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return errno_code(errno);
  return copy;
}

}  // namespace

Result<struct stat> status_of(int fd) {
  struct stat status {};
  if (::fstatat(fd, "", &status, AT_EMPTY_PATH) != 0) return errno_code(errno);
  return status;
}

Result<Node> open_child(int directory, const std::string& name) {
  struct open_how how {};
  how.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV;
  UniqueFd fd(static_cast<int>(::syscall(SYS_openat2, directory, name.c_str(), &how, sizeof(how))));
  if (!fd) return errno_code(errno);
  auto status = status_of(fd.get());
  if (!status) return status.error();
  return Node{std::move(fd), *status};
}

Result<Handles> Handles::make(UniqueFd root) {
  Handles handles;
  auto status = status_of(root.get());
  if (!status) return status.error();
  if (!S_ISDIR(status->st_mode)) return errno_code(ENOTDIR);
  handles.mount_ = UniqueFd(::openat(root.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!handles.mount_) return errno_code(errno);
  handles.root_ = std::move(root);
  handles.root_device_ = status->st_dev;
  auto name = handles.name(handles.root_.get(), *status);
  if (!name) return name.error();
  handles.root_handle_ = *name;
  handles.by_handle_ = handles.open_by_kernel(*name).has_value();
  return handles;
}

Result<FileHandle> Handles::name(int fd, const struct stat& status) const {
  KernelHandle kernel;
  int mount_id = 0;
  const bool has_handle =
      ::name_to_handle_at(fd, "", kernel.get(), &mount_id, AT_EMPTY_PATH) == 0 &&
      kernel.get()->handle_bytes <= kKernelBytesMax;
  if (!has_handle) return inode_and_birth(fd, status, root_device_);
  FileHandle handle;
  handle.bytes.push_back(kKernelHandle);
  append(handle, static_cast<std::int32_t>(kernel.get()->handle_type));
  const unsigned char* bytes = kernel.get()->f_handle;
  handle.bytes.insert(handle.bytes.end(), bytes, bytes + kernel.get()->handle_bytes);
  return handle;
}

Result<UniqueFd> Handles::open_by_kernel(const FileHandle& handle) const {
  constexpr std::size_t kHead = 1 + sizeof(std::int32_t);
  if (handle.bytes.size() < kHead || handle.bytes[0] != kKernelHandle) return errno_code(ESTALE);
  KernelHandle kernel;
  std::int32_t type = 0;
  std::memcpy(&type, handle.bytes.data() + 1, sizeof(type));
  kernel.get()->handle_type = type;
  kernel.get()->handle_bytes = static_cast<unsigned>(handle.bytes.size() - kHead);
  std::copy(handle.bytes.begin() + kHead, handle.bytes.end(), kernel.get()->f_handle);
  UniqueFd fd(::open_by_handle_at(mount_.get(), kernel.get(), O_PATH | O_CLOEXEC));
  if (!fd) return errno_code(errno);
  return fd;
}

Result<Node> Handles::open(const FileHandle& handle) {
  auto fd = by_handle_ ? open_by_kernel(handle) : open_by_place(handle, 0);
  if (!fd) return fd.error();
  auto status = status_of(fd->get());
  if (!status) return status.error();
  // The kernel still opens a deleted file while somebody uses it; to NFS's mind it is gone.
  if (status->st_nlink == 0) return errno_code(ESTALE);
  return Node{std::move(*fd), *status};
}

Result<UniqueFd> Handles::open_by_place(const FileHandle& handle, int depth) {
  if (depth > kDepthMax) return errno_code(ESTALE);
  if (handle == root_handle_) return duplicate(root_.get());
  const auto found = places_.find(handle);
  if (found == places_.end()) return errno_code(ESTALE);
  Place& place = found->second;
  ages_.splice(ages_.end(), ages_, place.age);
  if (place.fd) {
    fd_ages_.splice(fd_ages_.end(), fd_ages_, place.fd_age);
    return duplicate(place.fd.get());
  }
  auto directory = open_by_place(place.directory, depth + 1);
  if (!directory) return directory.error();
  auto child = open_child(directory->get(), place.name);
  if (!child) return errno_code(ESTALE);
  auto is = name(child->fd.get(), child->status);
  if (!is || !(*is == handle)) return errno_code(ESTALE);
  auto copy = duplicate(child->fd.get());
  keep_fd(place, handle, std::move(child->fd));
  trim();
  return copy;
}

void Handles::remember(const FileHandle& handle, const FileHandle& directory,
                       const std::string& name, int fd) {
  if (by_handle_ || handle == root_handle_ || name == "." || name == "..") return;
  auto [found, is_new] = places_.try_emplace(handle);
  Place& place = found->second;
  place.directory = directory;
  place.name = name;
  if (is_new) place.age = ages_.insert(ages_.end(), handle);
  if (!place.fd) {
    auto copy = duplicate(fd);
    if (copy) keep_fd(place, handle, std::move(*copy));
  }
  trim();
}

void Handles::keep_fd(Place& place, const FileHandle& handle, UniqueFd fd) {
  place.fd = std::move(fd);
  place.fd_age = fd_ages_.insert(fd_ages_.end(), handle);
}

void Handles::trim() {
  while (fd_ages_.size() > kFdsMax) {
    places_.at(fd_ages_.front()).fd.reset();
    fd_ages_.pop_front();
  }
  while (places_.size() > kNamesMax) {
    const auto oldest = places_.find(ages_.front());
    if (oldest->second.fd) fd_ages_.erase(oldest->second.fd_age);
    places_.erase(oldest);
    ages_.pop_front();
  }
}

}  // namespace holdfast::fs::dir
