#include "fs/io/uncommitted.h"

#include "holdfast/base/assert.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace holdfast::fs {

void Uncommitted::split(std::uint64_t at) {
  auto after = extents_.upper_bound(at);
  if (after == extents_.begin()) return;
  auto& [offset, extent] = *std::prev(after);
  if (at == offset || at >= offset + extent.data.size()) return;
  const auto head = static_cast<std::size_t>(at - offset);
  Extent tail = extent;
  tail.data = extent.data.part(head, extent.data.size() - head).compact();
  extent.data = extent.data.part(0, head).compact();
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

void Uncommitted::put(std::uint64_t offset, const Chunk& data, WriteVerifier verifier) {
  if (data.empty()) return;
  erase(offset, offset + data.size());
  bytes_ += data.size();
  auto after = extents_.lower_bound(offset);
  if (after != extents_.begin()) {
    auto& [before_offset, before] = *std::prev(after);
    if (before_offset + before.data.size() == offset && before.verifier == verifier &&
        before.generation == generation_ && before.proof == Proof::kVerifier && !before.alone &&
        before.data.size() + data.size() <= kExtentMax) {
      before.data.append(data.bytes());
      return;
    }
  }
  Extent extent;
  extent.data = data.compact();
  extent.generation = generation_;
  extent.verifier = verifier;
  extents_.emplace_hint(after, offset, std::move(extent));
}

Uncommitted::Generation Uncommitted::add_unsent(DirtyBytes::Extents extents) {
  // One of its own: an answer to what was sent before must not count for it.
  (void)close();
  for (auto& [offset, data] : extents) {
    erase(offset, offset + data.size());
    bytes_ += data.size();
    Extent extent;
    extent.data = std::move(data);
    extent.generation = generation_;
    extent.proof = Proof::kUnsent;
    extent.alone = true;
    extents_.emplace(offset, std::move(extent));
  }
  return close();
}

Uncommitted::Generation Uncommitted::close_sent() {
  Generation all = close();
  for (const auto& [offset, extent] : extents_) {
    if (extent.proof == Proof::kUnsent) all = std::min(all, extent.generation - 1);
  }
  return all;
}

void Uncommitted::answered(Generation of, std::uint64_t offset, std::uint64_t size,
                           const WriteResult& result) {
  const std::uint64_t end = offset + size;
  split(offset);
  split(end);
  for (auto it = extents_.lower_bound(offset); it != extents_.end() && it->first < end;) {
    Extent& extent = it->second;
    if (extent.generation == of && result.committed == Stability::kFileSync) {
      bytes_ -= extent.data.size();
      it = extents_.erase(it);
      continue;
    }
    if (extent.generation == of && extent.proof == Proof::kUnsent) {
      extent.proof = Proof::kVerifier;
      extent.verifier = result.verifier;
    }
    ++it;
  }
}

void Uncommitted::prove(Generation upto, WriteVerifier verifier) {
  for (auto it = extents_.begin(); it != extents_.end();) {
    const Extent& extent = it->second;
    const bool stable = extent.generation <= upto && extent.proof == Proof::kVerifier &&
                        extent.verifier == verifier;
    if (stable) bytes_ -= extent.data.size();
    it = stable ? extents_.erase(it) : std::next(it);
  }
}

void Uncommitted::distrust(Generation upto) {
  for (auto& [offset, extent] : extents_) {
    if (extent.generation <= upto && extent.proof == Proof::kVerifier)
      extent.proof = Proof::kStable;
  }
}

bool Uncommitted::holds(Generation upto) const {
  return next(upto, 0).has_value();
}

template <class Wanted>
std::optional<Uncommitted::Piece> Uncommitted::find(std::uint64_t from, Wanted wanted) const {
  auto it = extents_.lower_bound(from);
  if (it != extents_.begin()) {
    const auto before = std::prev(it);
    if (before->first + before->second.data.size() > from) it = before;
  }
  for (; it != extents_.end(); ++it) {
    const auto& [offset, extent] = *it;
    if (!wanted(extent)) continue;
    const std::size_t skip = from > offset ? static_cast<std::size_t>(from - offset) : 0;
    return Piece{offset + skip, extent.data.part(skip, extent.data.size() - skip),
                 extent.generation};
  }
  return std::nullopt;
}

std::optional<Uncommitted::Piece> Uncommitted::next(Generation upto, std::uint64_t from) const {
  return find(from, [&](const Extent& extent) { return extent.generation <= upto; });
}

std::optional<Uncommitted::Piece> Uncommitted::next_unsent(Generation upto,
                                                           std::uint64_t from) const {
  return find(from, [&](const Extent& extent) {
    return extent.generation <= upto && extent.proof == Proof::kUnsent;
  });
}

void Uncommitted::visit_alone(std::uint64_t start, std::uint64_t end,
                              const DirtyBytes::Visit& visit) const {
  const auto alone = [](const Extent& extent) { return extent.alone; };
  for (auto piece = find(start, alone); piece && piece->offset < end;) {
    const auto size = std::min<std::uint64_t>(piece->data.size(), end - piece->offset);
    visit(piece->offset, piece->data.bytes().first(static_cast<std::size_t>(size)));
    piece = find(piece->offset + size, alone);
  }
}

std::uint64_t Uncommitted::alone_end() const {
  for (auto it = extents_.rbegin(); it != extents_.rend(); ++it) {
    if (it->second.alone) return it->first + it->second.data.size();
  }
  return 0;
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
