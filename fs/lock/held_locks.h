#pragma once
/// What this mount's owners hold at lockd, as far as the replies tell. Pure.
///
/// Used to give an unwanted grant back without taking what the owner had before (client_core.h).
/// Thread: the loop's. Memory: one entry per held range, so no more than lockd holds for us.
///
/// Invariant: pieces of one owner never overlap (check: tests/unit/wire/held_locks_test.cc).

#include "holdfast/lock/message.h"

#include <compare>
#include <map>
#include <vector>

namespace holdfast::fs {

class HeldLocks {
 public:
  struct Piece {
    ByteRange range;
    LockMode mode;
    HandleId handle;
    friend bool operator==(const Piece&, const Piece&) = default;
  };

  /// `command` was answered with success.
  void apply(const Command& command);
  /// `command` was refused. That too can take locks: a flock conversion gives up what it had before
  /// it is refused or waits (flock(2)).
  void refused(const Command& command, LockErrc errc);
  /// What `owner` holds within `range`, cut to it, in order.
  [[nodiscard]] std::vector<Piece> within(const FileKey& file, LockSpace space, OwnerId owner,
                                          const ByteRange& range) const;
  /// Replies of this owner may have come in another order than lockd acted: what is recorded here
  /// is not to be relied on for the rest of the session.
  void mark_uncertain(const FileKey& file, LockSpace space, OwnerId owner);
  [[nodiscard]] bool uncertain(const FileKey& file, LockSpace space, OwnerId owner) const;
  void clear() { owners_.clear(); }

 private:
  struct Key {
    FileKey file;
    LockSpace space;
    OwnerId owner;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Held {
    std::vector<Piece> pieces;  // few: SQLite has at most three
    bool uncertain = false;
    [[nodiscard]] bool forgettable() const { return pieces.empty() && !uncertain; }
  };

  void apply_one(const LockRequest& request);
  void apply_one(const UnlockRequest& request);
  void apply_one(const ReleaseOwnerRequest& request);
  void apply_one(const ReleaseHandleRequest& request);
  void apply_one(const QueryRequest&) {}
  void apply_one(const CancelRequest&) {}
  void apply_one(const ClaimWalRequest&) {}

  std::map<Key, Held> owners_;
};

}  // namespace holdfast::fs
