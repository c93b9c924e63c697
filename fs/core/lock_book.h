#pragma once
/// What this mount believes to hold on one inode: who, which bytes, through which handle. Pure.
///
/// lockd decides; the book only spares messages (an unlock of nothing, a flush of an owner without
/// locks) and tells when a grant gives bytes that were not covered before (then the kernel's pages
/// must go) and when an exclusive range is about to be given up (then data must be stable). So it
/// may say "held" where lockd has freed already, and "exclusive" where it is shared, never the
/// other way round.
///
/// Thread: one owner. Cost: O(log n) in the owner's ranges, plus the ranges touched.

#include "holdfast/lock/byte_range.h"
#include "holdfast/lock/types.h"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace holdfast::fs {

/// An OFD lock and a flock of one open file have the same kernel owner: the space keeps them apart.
struct LockOwner {
  LockSpace space = LockSpace::kRange;
  OwnerId owner;
  friend constexpr auto operator<=>(const LockOwner&, const LockOwner&) = default;
};

/// Sure: the grant is the last word about the range. Unsure: a release was sent while the grant was
/// on its way, so lockd may have freed it again; or another request of the owner was (two threads),
/// and after a reconnect answers come in the order of the requests, not in which lockd acted.
enum class Certainty : std::uint8_t { kSure, kUnsure };

class LockBook {
 public:
  /// A lock request of `owner` goes out; end_request() when its answer is here. In between a
  /// release must be sent even if nothing is held yet, and it makes the grant unsure.
  void begin_request(LockOwner owner);
  [[nodiscard]] Certainty end_request(LockOwner owner);

  /// A grant: `owner` holds `range` in `mode`, set through `handle`; replaces what it held there.
  /// An unsure one takes nothing back: what was exclusive stays so.
  void set(LockOwner owner, HandleId handle, ByteRange range, LockMode mode, Certainty certainty);
  /// An unlock of `range`.
  void clear(LockOwner owner, ByteRange range);
  /// Between begin_request() and end_request(): the request was refused because of other locks, and
  /// lockd has taken what the owner held before. (A flock conversion.)
  void lost(LockOwner owner);
  /// Something was sent by which lockd may take what `owner` holds, or is just being granted.
  void doubt(LockOwner owner);
  /// A close by the owner: everything it holds in LockSpace::kRange.
  void drop_owner(OwnerId owner);
  /// The last close of `handle`: everything last set through it, in both spaces.
  void drop_handle(HandleId handle);
  void drop_all();

  [[nodiscard]] bool empty() const { return owners_.empty(); }
  [[nodiscard]] bool holds(LockOwner owner) const { return owners_.contains(owner); }
  /// lockd may hold something of `owner`: held here, or a request is on its way.
  [[nodiscard]] bool may_hold(LockOwner owner) const {
    return owners_.contains(owner) || requests_.contains(owner);
  }
  /// A request of `owner` is on its way.
  [[nodiscard]] bool asks(LockOwner owner) const { return requests_.contains(owner); }
  [[nodiscard]] bool holds_through(HandleId handle) const { return through_.contains(handle); }
  [[nodiscard]] bool holds_any(LockOwner owner, ByteRange range) const;
  [[nodiscard]] bool holds_exclusive(LockOwner owner, ByteRange range) const;
  [[nodiscard]] bool holds_exclusive(LockOwner owner) const;
  [[nodiscard]] bool exclusive_through(HandleId handle) const;
  /// Every byte of `range` is surely held by `owner`, in any mode.
  [[nodiscard]] bool covers(LockOwner owner, ByteRange range) const;
  /// Anybody on this mount holds a byte of `range` in LockSpace::kRange.
  [[nodiscard]] bool anybody_holds(ByteRange range) const;

 private:
  struct Held {
    std::uint64_t end = 0;
    LockMode mode = LockMode::kShared;
    HandleId handle;
    Certainty certainty = Certainty::kSure;
  };
  using Ranges = std::map<std::uint64_t, Held>;  // by start; never overlapping

  void carve(Ranges& ranges, ByteRange range);
  void add(Ranges& ranges, std::uint64_t start, const Held& held);
  Ranges::iterator remove(Ranges& ranges, Ranges::iterator at);
  void erase(LockOwner owner);
  void forget(HandleId handle);
  /// The first held range that ends after `start`.
  static Ranges::const_iterator first_after(const Ranges& ranges, std::uint64_t start);

  /// Requests of one owner that wait for their answer.
  struct Requests {
    unsigned running = 0;
    Certainty certainty = Certainty::kSure;
    bool overlap = false;  ///< there were several at a time
  };
  void released(LockOwner owner);

  std::map<LockOwner, Ranges> owners_;  // no entry without a range
  /// How many ranges of owners_ were set through each handle; none = no entry.
  std::map<HandleId, std::size_t> through_;
  std::map<LockOwner, Requests> requests_;
};

}  // namespace holdfast::fs
