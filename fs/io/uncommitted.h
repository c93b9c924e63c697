#pragma once
/// The bytes of one file that the storage has taken but not promised to keep: what has to be sent
/// again if the server restarts. Pure.
///
/// Later bytes replace earlier ones. Each extent remembers the verifier its WRITE was answered with
/// and the generation it belongs to; a COMMIT proves those of its verifier that came before it
/// (RFC 1813 section 3.3.21).
///
/// Invariants (check_invariants(), tests/property/io):
///  W1  Extents are not empty and never overlap.
///  W2  bytes() is the sum of their sizes.
///  W3  A byte leaves only by being overwritten, cut off, or proved stable.

#include "fs/backend/types.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace holdfast::fs {

class Uncommitted {
 public:
  using Generation = std::uint64_t;
  /// Neighbouring writes of one generation are joined up to this size.
  static constexpr std::size_t kExtentMax = 1U << 20;

  struct Piece {
    std::uint64_t offset = 0;
    std::span<const std::uint8_t> data;  ///< valid until the next change
  };

  /// The storage answered a WRITE of `data` as unstable.
  void put(std::uint64_t offset, std::span<const std::uint8_t> data, WriteVerifier verifier);
  /// [start, end) needs no keeping any more: newer bytes there are stable, or it was cut off.
  void erase(std::uint64_t start, std::uint64_t end);

  /// Ends a generation: everything kept now belongs to the returned one or an earlier one,
  /// everything put later does not. Call before sending COMMIT.
  Generation close() { return generation_++; }
  /// The generation that put() uses now.
  [[nodiscard]] Generation generation() const { return generation_; }
  /// A COMMIT sent after close() returned `upto` answered `verifier`.
  void prove(Generation upto, WriteVerifier verifier);
  /// The storage reported that it may not have kept what belongs to `upto`: no verifier proves it.
  void distrust(Generation upto);
  /// Whether anything of `upto` or before is still unproved.
  [[nodiscard]] bool holds(Generation upto) const;
  /// The first of it at or after `from`.
  [[nodiscard]] std::optional<Piece> next(Generation upto, std::uint64_t from) const;

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return extents_.empty(); }
  void check_invariants() const;

 private:
  struct Extent {
    std::vector<std::uint8_t> data;
    WriteVerifier verifier = 0;
    Generation generation = 0;
    bool distrusted = false;
  };
  using Extents = std::map<std::uint64_t, Extent>;  // by offset

  /// Makes `at` a border between extents.
  void split(std::uint64_t at);

  Extents extents_;
  std::uint64_t bytes_ = 0;
  Generation generation_ = 1;
};

}  // namespace holdfast::fs
