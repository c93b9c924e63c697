#include "fs/core/shm_file.h"

#include <algorithm>

namespace holdfast::fs {

std::span<const std::uint8_t> ShmFile::read(std::uint64_t offset, std::size_t count) const {
  if (offset >= bytes_.size()) return {};
  const auto left = bytes_.size() - static_cast<std::size_t>(offset);
  return {bytes_.data() + offset, std::min(count, left)};
}

Result<void> ShmFile::write(std::uint64_t offset, std::span<const std::uint8_t> data) {
  if (offset > kSizeMax || data.size() > kSizeMax - offset) return errno_code(EFBIG);
  const std::uint64_t end = offset + data.size();
  if (end > bytes_.size()) bytes_.resize(end);
  std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
  return {};
}

Result<void> ShmFile::resize(std::uint64_t size) {
  if (size > kSizeMax) return errno_code(EFBIG);
  bytes_.resize(size);
  return {};
}

}  // namespace holdfast::fs
