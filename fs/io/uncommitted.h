#pragma once
/// The bytes of one file that the storage has not promised to keep: those it has taken, which have
/// to be sent again if the server restarts, and those on their way to it. Pure.
///
/// Later bytes replace earlier ones. Each extent remembers the verifier its WRITE was answered with
/// and the generation it belongs to; a COMMIT proves those of its verifier that came before it
/// (RFC 1813 section 3.3.21).
///
/// Two ways in. put(): written through, the WRITE is answered. add_unsent(): written behind, the
/// WRITE comes later; until then no verifier proves it. The latter is `alone`: nobody else could
/// write the file, so it is newer than what the storage answers to a READ.
///
/// Invariants (check_invariants(), tests/property/io):
///  W1  Extents are not empty and never overlap.
///  W2  bytes() is the sum of their sizes.
///  W3  A byte leaves only by being overwritten, cut off, or proved stable.

#include "fs/backend/types.h"
#include "fs/io/chunk.h"
#include "fs/io/dirty_bytes.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace holdfast::fs {

class Uncommitted {
 public:
  using Generation = std::uint64_t;
  /// Neighbouring writes of one generation are joined up to this size.
  static constexpr std::size_t kExtentMax = 1U << 20;

  struct Piece {
    std::uint64_t offset = 0;
    Chunk data;
    Generation generation = 0;
  };

  /// The storage answered a WRITE of `data` as unstable.
  void put(std::uint64_t offset, const Chunk& data, WriteVerifier verifier);
  /// To be sent. Ends a generation, as close() does: the one that is returned has all of it, and
  /// with it answered() knows which WRITE an answer belongs to.
  Generation add_unsent(DirtyBytes::Extents extents);
  /// The first part at or after `from` of `upto` or before that was not sent.
  [[nodiscard]] std::optional<Piece> next_unsent(Generation upto, std::uint64_t from) const;
  /// The WRITE of [offset, offset + size), parts of `of` that were unsent or have to be sent again,
  /// was answered as unstable or stable. What was replaced or cut off since stays so.
  void answered(Generation of, std::uint64_t offset, std::uint64_t size, const WriteResult& result);
  /// [start, end) needs no keeping any more: newer bytes there are stable, or it was cut off.
  void erase(std::uint64_t start, std::uint64_t end);

  /// Ends a generation: everything kept now belongs to the returned one or an earlier one,
  /// everything put later does not. Call before sending COMMIT.
  Generation close() { return generation_++; }
  /// The same. The last generation up to which everything has been sent and answered: what a COMMIT
  /// sent now can prove.
  Generation close_sent();
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

  /// The parts of it within [start, end) that are `alone`, in order.
  void visit_alone(std::uint64_t start, std::uint64_t end, const DirtyBytes::Visit& visit) const;
  /// Where the last of them ends; 0 if there is none.
  [[nodiscard]] std::uint64_t alone_end() const;

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return extents_.empty(); }
  [[nodiscard]] std::size_t extents() const { return extents_.size(); }
  void check_invariants() const;

 private:
  enum class Proof : std::uint8_t {
    kUnsent,    ///< nothing yet
    kVerifier,  ///< a COMMIT with the same one
    kStable,    ///< only a stable WRITE
  };
  struct Extent {
    Chunk data;
    Generation generation = 0;
    WriteVerifier verifier = 0;
    Proof proof = Proof::kVerifier;
    bool alone = false;
  };
  using Extents = std::map<std::uint64_t, Extent>;  // by offset

  /// Makes `at` a border between extents.
  void split(std::uint64_t at);
  template <class Wanted>
  [[nodiscard]] std::optional<Piece> find(std::uint64_t from, Wanted wanted) const;

  Extents extents_;
  std::uint64_t bytes_ = 0;
  Generation generation_ = 1;
};

}  // namespace holdfast::fs
