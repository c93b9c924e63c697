#pragma once
/// The bytes of one file that its mount alone has: written by programs, not yet sent. Pure.
///
/// Later bytes replace earlier ones. What touches or overlaps becomes one extent, so that it can
/// leave in one WRITE.
///
/// Memory: what was put; WriteBudget bounds the sum over all files of a mount.
///
/// Invariants (check_invariants(), tests/property/io):
///  D1  Extents are not empty, never overlap, and touch only where joined they would pass
///      kExtentMax.
///  D2  bytes() is the sum of their sizes.

#include "fs/io/chunk.h"

#include <cstdint>
#include <functional>
#include <map>
#include <span>

namespace holdfast::fs {

class DirtyBytes {
 public:
  /// Longer ones would be sent in pieces anyway (no backend writes more at once).
  static constexpr std::size_t kExtentMax = 1U << 20;
  using Extents = std::map<std::uint64_t, Chunk>;  // by offset
  using Visit = std::function<void(std::uint64_t offset, std::span<const std::uint8_t> data)>;

  void put(std::uint64_t offset, const Chunk& data);
  /// The file ends at `size` now: what lay beyond is gone.
  void cut(std::uint64_t size) { erase(size, UINT64_MAX); }
  /// All of it, to be sent; nothing is left.
  [[nodiscard]] Extents take();

  /// The parts within [start, end), in order.
  void visit(std::uint64_t start, std::uint64_t end, const Visit& visit) const;
  /// Where the last byte ends; 0 if there is none.
  [[nodiscard]] std::uint64_t end() const;
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return extents_.empty(); }
  [[nodiscard]] std::size_t extents() const { return extents_.size(); }
  void check_invariants() const;

 private:
  using Place = Extents::iterator;

  void erase(std::uint64_t start, std::uint64_t end);
  /// Makes `at` a border between extents.
  void split(std::uint64_t at);
  [[nodiscard]] bool overwrite(std::uint64_t offset, const Chunk& data);
  /// Joins `first` with what follows, if both fit into one. The joined extent, or `first`.
  Place join_next(Place first);

  Extents extents_;
  std::uint64_t bytes_ = 0;
};

}  // namespace holdfast::fs
