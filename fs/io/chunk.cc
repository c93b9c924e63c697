#include "fs/io/chunk.h"

#include "holdfast/base/assert.h"

#include <algorithm>
#include <utility>

namespace holdfast::fs {

Chunk::Chunk(std::vector<std::uint8_t> bytes) : buffer_(std::make_shared<Buffer>()) {
  buffer_->grows = std::move(bytes);
  bytes_ = buffer_->grows;
}

Chunk::Chunk(std::unique_ptr<void, Free> buffer, std::size_t size,
             std::span<const std::uint8_t> bytes)
    : buffer_(std::make_shared<Buffer>()), bytes_(bytes) {
  buffer_->taken = std::move(buffer);
  buffer_->size = size;
}

Chunk Chunk::copy_of(std::span<const std::uint8_t> bytes) {
  return {std::vector<std::uint8_t>(bytes.begin(), bytes.end())};
}

Chunk Chunk::part(std::size_t from, std::size_t size) const {
  HOLDFAST_ASSERT(from <= bytes_.size() && size <= bytes_.size() - from, "a part lies within");
  Chunk part = *this;
  part.bytes_ = bytes_.subspan(from, size);
  return part;
}

std::size_t Chunk::buffer_size() const {
  if (!buffer_) return 0;
  return buffer_->taken ? buffer_->size : buffer_->grows.size();
}

Chunk Chunk::compact() const {
  return size() < buffer_size() / 2 ? copy_of(bytes_) : *this;
}

void Chunk::detach(std::size_t size) {
  std::vector<std::uint8_t> own;
  own.reserve(size);
  own.assign(bytes_.begin(), bytes_.end());
  *this = Chunk(std::move(own));
}

void Chunk::overwrite(std::size_t at, std::span<const std::uint8_t> bytes) {
  HOLDFAST_ASSERT(at <= size() && bytes.size() <= size() - at, "what is overwritten is there");
  if (bytes.empty()) return;
  if (!alone()) detach(size());
  // Ours alone, and not constant where it was made.
  std::copy(bytes.begin(), bytes.end(), const_cast<std::uint8_t*>(bytes_.data()) + at);
}

void Chunk::append(std::span<const std::uint8_t> bytes) {
  if (bytes.empty()) return;
  const auto grows = [&] {
    return buffer_ && alone() && !buffer_->taken && bytes_.size() == buffer_->grows.size();
  };
  if (!grows()) detach(size() + bytes.size());
  buffer_->grows.insert(buffer_->grows.end(), bytes.begin(), bytes.end());
  bytes_ = buffer_->grows;
}

}  // namespace holdfast::fs
