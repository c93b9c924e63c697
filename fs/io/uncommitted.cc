#include "fs/io/uncommitted.h"

#include "holdfast/base/assert.h"

#include <iterator>

namespace holdfast::fs {

void Uncommitted::split(std::uint64_t at) {
  auto after = extents_.upper_bound(at);
  if (after == extents_.begin()) return;
  auto& [offset, extent] = *std::prev(after);
  if (at == offset || at >= offset + extent.data.size()) return;
  const auto head = static_cast<std::ptrdiff_t>(at - offset);
  Extent tail{{extent.data.begin() + head, extent.data.end()},
              extent.verifier,
              extent.generation,
              extent.distrusted};
  extent.data.resize(static_cast<std::size_t>(head));
  extents_.emplace_hint(after, at, std::move(tail));
}

void Uncommitted::erase(std::uint64_t start, std::uint64_t end) {
  if (start >= end) return;
  split(start);
  split(end);
  auto it = extents_.lower_bound(start);
  while (it != extents_.end() && it->first < end) {
    bytes_ -= it->second.data.size();
    it = extents_.erase(it);
  }
}

void Uncommitted::put(std::uint64_t offset, std::span<const std::uint8_t> data,
                      WriteVerifier verifier) {
  if (data.empty()) return;
  erase(offset, offset + data.size());
  bytes_ += data.size();
  auto after = extents_.lower_bound(offset);
  if (after != extents_.begin()) {
    auto& [before_offset, before] = *std::prev(after);
    if (before_offset + before.data.size() == offset && before.verifier == verifier &&
        before.generation == generation_ && !before.distrusted &&
        before.data.size() + data.size() <= kExtentMax) {
      before.data.insert(before.data.end(), data.begin(), data.end());
      return;
    }
  }
  extents_.emplace_hint(after, offset,
                        Extent{{data.begin(), data.end()}, verifier, generation_, false});
}

void Uncommitted::prove(Generation upto, WriteVerifier verifier) {
  for (auto it = extents_.begin(); it != extents_.end();) {
    const Extent& extent = it->second;
    const bool stable =
        extent.generation <= upto && extent.verifier == verifier && !extent.distrusted;
    if (stable) bytes_ -= extent.data.size();
    it = stable ? extents_.erase(it) : std::next(it);
  }
}

void Uncommitted::distrust(Generation upto) {
  for (auto& [offset, extent] : extents_) {
    if (extent.generation <= upto) extent.distrusted = true;
  }
}

bool Uncommitted::holds(Generation upto) const {
  return next(upto, 0).has_value();
}

std::optional<Uncommitted::Piece> Uncommitted::next(Generation upto, std::uint64_t from) const {
  auto it = extents_.lower_bound(from);
  if (it != extents_.begin()) {
    const auto before = std::prev(it);
    if (before->first + before->second.data.size() > from) it = before;
  }
  for (; it != extents_.end(); ++it) {
    const auto& [offset, extent] = *it;
    if (extent.generation > upto) continue;
    const std::size_t skip = from > offset ? static_cast<std::size_t>(from - offset) : 0;
    return Piece{offset + skip, std::span(extent.data).subspan(skip)};
  }
  return std::nullopt;
}

void Uncommitted::check_invariants() const {
  std::uint64_t end = 0;
  std::uint64_t sum = 0;
  for (const auto& [offset, extent] : extents_) {
    HOLDFAST_ASSERT(!extent.data.empty(), "W1: an extent is empty");
    HOLDFAST_ASSERT(offset >= end, "W1: extents overlap");
    end = offset + extent.data.size();
    sum += extent.data.size();
  }
  HOLDFAST_ASSERT(sum == bytes_, "W2: bytes are miscounted");
}

}  // namespace holdfast::fs
