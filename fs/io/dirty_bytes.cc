#include "fs/io/dirty_bytes.h"

#include "holdfast/base/assert.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace holdfast::fs {

void DirtyBytes::split(std::uint64_t at) {
  auto after = extents_.upper_bound(at);
  if (after == extents_.begin()) return;
  auto& [offset, data] = *std::prev(after);
  if (at == offset || at >= offset + data.size()) return;
  const auto head = static_cast<std::size_t>(at - offset);
  extents_.emplace_hint(after, at, data.part(head, data.size() - head).compact());
  data = data.part(0, head).compact();
}

void DirtyBytes::erase(std::uint64_t start, std::uint64_t end) {
  if (start >= end) return;
  split(start);
  split(end);
  auto it = extents_.lower_bound(start);
  while (it != extents_.end() && it->first < end) {
    bytes_ -= it->second.size();
    it = extents_.erase(it);
  }
}

bool DirtyBytes::overwrite(std::uint64_t offset, const Chunk& data) {
  const auto after = extents_.upper_bound(offset);
  if (after == extents_.begin()) return false;
  auto& [start, bytes] = *std::prev(after);
  if (offset + data.size() > start + bytes.size()) return false;
  if (data.size() == bytes.size()) {
    bytes = data.compact();
  } else {
    bytes.overwrite(static_cast<std::size_t>(offset - start), data.bytes());
  }
  return true;
}

DirtyBytes::Place DirtyBytes::join_next(Place first) {
  const auto next = std::next(first);
  if (next == extents_.end() || first->first + first->second.size() != next->first) return first;
  auto& data = first->second;
  if (data.size() + next->second.size() > kExtentMax) return first;
  data.append(next->second.bytes());
  extents_.erase(next);
  return first;
}

void DirtyBytes::put(std::uint64_t offset, const Chunk& data) {
  if (data.empty() || overwrite(offset, data)) return;
  erase(offset, offset + data.size());
  bytes_ += data.size();
  auto place = extents_.lower_bound(offset);
  // Appended in place: a copy of the whole for each of many small writes would be quadratic.
  if (place != extents_.begin()) {
    const auto before = std::prev(place);
    auto& bytes = before->second;
    if (before->first + bytes.size() == offset && bytes.size() + data.size() <= kExtentMax) {
      bytes.append(data.bytes());
      join_next(before);
      return;
    }
  }
  place = extents_.emplace_hint(place, offset, data.compact());
  join_next(place);
}

DirtyBytes::Extents DirtyBytes::take() {
  bytes_ = 0;
  return std::exchange(extents_, {});
}

void DirtyBytes::visit(std::uint64_t start, std::uint64_t end, const Visit& visit) const {
  auto it = extents_.upper_bound(start);
  if (it != extents_.begin()) --it;
  for (; it != extents_.end() && it->first < end; ++it) {
    const auto& [offset, data] = *it;
    const std::uint64_t from = std::max(start, offset);
    const std::uint64_t to = std::min<std::uint64_t>(end, offset + data.size());
    if (from >= to) continue;
    visit(from, data.bytes().subspan(static_cast<std::size_t>(from - offset),
                                     static_cast<std::size_t>(to - from)));
  }
}

std::uint64_t DirtyBytes::end() const {
  if (extents_.empty()) return 0;
  const auto& [offset, data] = *extents_.rbegin();
  return offset + data.size();
}

void DirtyBytes::check_invariants() const {
  std::uint64_t end = 0;
  std::size_t size_before = 0;
  std::uint64_t sum = 0;
  for (const auto& [offset, data] : extents_) {
    HOLDFAST_ASSERT(!data.empty(), "D1: an extent is empty");
    HOLDFAST_ASSERT(offset >= end, "D1: extents overlap");
    const bool touches = size_before > 0 && offset == end;
    HOLDFAST_ASSERT(!touches || size_before + data.size() > kExtentMax, "D1: neighbours lie apart");
    end = offset + data.size();
    size_before = data.size();
    sum += data.size();
  }
  HOLDFAST_ASSERT(sum == bytes_, "D2: bytes are miscounted");
}

}  // namespace holdfast::fs
