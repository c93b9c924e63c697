#pragma once
/// The ranges held in one space of a file: set, clear, and what is in the way. Pure bookkeeping:
/// set() does not look for conflicts, Locks has done so before.
///
/// Invariants (check_invariants() of Locks):
///  L1  Ranges of different owners overlap only if both are shared.
///  L2  Ranges of one owner never overlap; touching ranges of one mode and one handle are one
///  range.
///
/// L2 is Linux's rule (fs/locks.c, posix_lock_inode) but for the handle: FUSE does not mark OFD
/// locks, so what RELEASE must free is known only by the handle that a range was last set through.
/// Cost: O(log n) in the ranges of the file, plus the ranges replaced.

#include "lockd/core/lock_objects.h"

#include <vector>

namespace holdfast::lockd {

/// A range as it is to be set.
struct Setting {
  ByteRange range;
  LockMode mode = LockMode::kShared;
  HandleId handle;
  std::uint32_t pid = 0;
  FencingToken token;
  Instant now;
};

class RangeTable {
 public:
  /// `seed` spreads the priorities of new nodes; bumped by each.
  explicit RangeTable(std::uint64_t& seed) : seed_(seed) {}

  /// Makes `setting.range` the holding's with that mode, replacing what it had there. Appends to
  /// `freed` whatever became weaker: bytes on which others may now be granted.
  void set(Holding& holding, const Setting& setting, std::vector<ByteRange>& freed);
  /// Takes `range` away from the holding. Appends what it had there to `freed`.
  void clear(Holding& holding, const ByteRange& range, std::vector<ByteRange>& freed);
  /// Takes away every range with that handle's tag.
  void clear_handle(Holding& holding, HandleId handle, std::vector<ByteRange>& freed);
  void clear_all(Holding& holding, std::vector<ByteRange>& freed);

  /// By how many ranges set() or clear() of `range` could at most make the holding's number grow.
  [[nodiscard]] static std::uint32_t growth_of_set(const Holding* holding, const ByteRange& range);
  [[nodiscard]] static std::uint32_t growth_of_clear(const Holding& holding,
                                                     const ByteRange& range);

  /// A range of somebody else that is in the way, or null. `self` may be null (holds nothing here).
  [[nodiscard]] static const HeldRange* conflict(const FileSpace& space, const ByteRange& range,
                                                 LockMode mode, const Holding* self) {
    return space.held.conflict(range, mode, self);
  }
  /// The conflict that F_GETLK shows on Linux: of the owner who came first to the file, the lowest
  /// (fs/locks.c keeps posix locks "sorted by owner task, then by starting address", owners in
  /// order of arrival). O(conflicts * log n).
  [[nodiscard]] static const HeldRange* first_conflict(const FileSpace& space,
                                                       const ByteRange& range, LockMode mode,
                                                       const Holding* self);
  /// `held` with the touching ranges of its owner and mode. We keep those of different handles
  /// apart (RELEASE frees by handle); fcntl shows one lock.
  [[nodiscard]] static ByteRange as_one_lock(const HeldRange& held);

 private:
  HeldRange& add(Holding& holding, const ByteRange& range, const HeldRange& like);
  void remove(HeldRange& range);
  void reshape(HeldRange& held, const ByteRange& range);
  void carve(Holding& holding, const ByteRange& range, const LockMode* replaced_by,
             std::vector<ByteRange>& freed);

  std::uint64_t& seed_;
};

}  // namespace holdfast::lockd
