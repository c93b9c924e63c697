#include "fs/io/local_bytes.h"

#include <algorithm>

namespace holdfast::fs {

void LocalBytes::add(std::uint64_t offset, std::span<const std::uint8_t> data) {
  const std::uint64_t from = std::max(start_, offset);
  const std::uint64_t to = std::min<std::uint64_t>(end_, offset + data.size());
  if (from >= to) return;
  const auto part =
      data.subspan(static_cast<std::size_t>(from - offset), static_cast<std::size_t>(to - from));
  pieces_.push_back({from, {part.begin(), part.end()}});
}

void LocalBytes::reaches(std::uint64_t size) {
  size_ = std::max(size_, size);
}

void LocalBytes::cut(std::uint64_t size) {
  size_ = std::min(size_, size);
  for (auto& piece : pieces_) {
    const std::uint64_t left = size > piece.offset ? size - piece.offset : 0;
    if (piece.data.size() > left) piece.data.resize(static_cast<std::size_t>(left));
  }
}

void LocalBytes::lay_over(std::vector<std::uint8_t>& data) const {
  const std::uint64_t to = std::min(size_, end_);
  if (to > start_ && to - start_ > data.size()) data.resize(static_cast<std::size_t>(to - start_));
  for (const auto& piece : pieces_) {
    const auto at = static_cast<std::size_t>(piece.offset - start_);
    if (at >= data.size()) continue;
    const auto size = std::min(piece.data.size(), data.size() - at);
    std::copy_n(piece.data.begin(), size, data.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

}  // namespace holdfast::fs
