#include "fs/fuse/adopt_size.h"

#include "holdfast/base/log.h"
#include "holdfast/base/unique_fd.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>

namespace holdfast::fs {
namespace {

/// Each round fails only if the file was changed through this mount in between.
constexpr int kRoundsMax = 32;

enum class Ask : int { kStorage = AT_STATX_FORCE_SYNC, kKernel = AT_STATX_DONT_SYNC };

std::optional<struct statx> look(int fd, Ask whom) {
  struct statx out {};
  if (::statx(fd, "", AT_EMPTY_PATH | static_cast<int>(whom), STATX_SIZE, &out) != 0)
    return std::nullopt;
  return out;
}

/// linux: fs/fuse/inode.c, fuse_encode_fh. The inode is in the kernel's cache, so nothing is asked.
UniqueFd open_inode(int mount, NodeId node) {
  constexpr int kInodeAndGeneration = 0x81;  // linux: exportfs.h, FILEID_INO64_GEN
  const std::array<std::uint32_t, 3> id{static_cast<std::uint32_t>(node.value >> 32),
                                        static_cast<std::uint32_t>(node.value), 0};
  struct {
    alignas(file_handle) std::array<std::byte, sizeof(file_handle) + sizeof id> bytes;
  } storage{};
  auto* const handle = reinterpret_cast<file_handle*>(storage.bytes.data());
  handle->handle_bytes = sizeof id;
  handle->handle_type = kInodeAndGeneration;
  std::memcpy(handle->f_handle, id.data(), sizeof id);
  return UniqueFd(::open_by_handle_at(mount, handle, O_PATH | O_CLOEXEC));
}

/// Not the rule: say it once.
void unavailable(const char* what, int error) {
  static std::atomic<bool> said = false;
  if (said.exchange(true)) return;
  log::warn("fuse.size_not_verified", "call={} error=\"{}\"", what, std::strerror(error));
}

}  // namespace

std::optional<std::uint64_t> adopt_size(const std::string& mountpoint, unsigned device_minor,
                                        NodeId node) {
  // Not kept open: the mount could never be unmounted.
  const UniqueFd mount(::open(mountpoint.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!mount) return std::nullopt;
  const auto root = look(mount.get(), Ask::kKernel);
  if (!root || root->stx_dev_major != 0 || root->stx_dev_minor != device_minor) return std::nullopt;
  const UniqueFd file = open_inode(mount.get(), node);
  if (!file) {
    if (errno != ESTALE) unavailable("open_by_handle_at", errno);
    return std::nullopt;
  }
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto there = look(file.get(), Ask::kStorage);
    if (!there) return std::nullopt;
    const auto here = look(file.get(), Ask::kKernel);
    if (here && here->stx_size == there->stx_size) return here->stx_size;
  }
  return std::nullopt;
}

}  // namespace holdfast::fs
