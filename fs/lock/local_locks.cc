#include "fs/lock/local_locks.h"

#include "holdfast/base/assert.h"

namespace holdfast::fs {
namespace {

Outcome refuse(LockErrc errc) {
  return Refused{errc};
}

Outcome full() {
  return Refused{.errc = LockErrc::kTooManyRanges,
                 .limit = LimitMet{.limit = Limit::kRangesOfFile, .max = kLocalRangesMax}};
}

bool partial_flock(LockSpace space, const ByteRange& range) {
  return space == LockSpace::kFlock && range != ByteRange::whole_file();
}

class Decide {
 public:
  Decide(const Command& command, TokenMode mode, HeldLocks& held)
      : command_(command), mode_(mode), held_(held) {}

  LocalDecision operator()(const LockRequest& lock) {
    if (partial_flock(lock.space, lock.range)) return refuse(LockErrc::kBadRequest);
    if (lock.wal_database) {
      const auto tied = held_.database_of(lock.file);
      const bool other = tied && *tied != *lock.wal_database;
      if (*lock.wal_database == lock.file || other) return refuse(LockErrc::kBadRequest);
    }
    const bool shared = lock.mode == LockMode::kShared && !lock.wal_database;
    if (mode_ == TokenMode::kRead && !shared) return NeedsMore{};
    if (held_.conflict(lock.file, {lock.space, lock.owner}, lock.range, lock.mode)) {
      if (lock.wait == Wait::kYes) return MustWait{};
      held_.refused(command_, LockErrc::kWouldBlock);
      return refuse(LockErrc::kWouldBlock);
    }
    // At most: its edges cut what is there.
    if (held_.pieces(lock.file) + 2 > kLocalRangesMax) return full();
    held_.apply(command_);
    return Outcome(Granted{});
  }
  LocalDecision operator()(const UnlockRequest& unlock) {
    if (partial_flock(unlock.space, unlock.range)) return refuse(LockErrc::kBadRequest);
    return done();
  }
  LocalDecision operator()(const QueryRequest& query) {
    const auto conflict =
        held_.conflict(query.file, {query.space, query.owner}, query.range, query.mode);
    if (conflict) {
      return Outcome(QueryResult{Conflict{.mode = conflict->mode,
                                          .range = conflict->range,
                                          .pid = conflict->pid,
                                          .same_session = true}});
    }
    const bool all_seen = mode_ == TokenMode::kExclusive || query.mode == LockMode::kShared;
    if (!all_seen) return NeedsMore{};
    return Outcome(QueryResult{});
  }
  LocalDecision operator()(const ReleaseOwnerRequest&) { return done(); }
  LocalDecision operator()(const ReleaseHandleRequest&) { return done(); }
  LocalDecision operator()(const ClaimWalRequest& claim) {
    if (mode_ != TokenMode::kExclusive) return NeedsMore{};
    if (!held_.claimed(claim.database) && !held_.uses_lock_bytes(claim.database)) {
      return refuse(LockErrc::kBadRequest);
    }
    return done();
  }
  template <class Other>
  LocalDecision operator()(const Other&) {
    HOLDFAST_ASSERT(false, "only commands about locks are decided here");
    return refuse(LockErrc::kBadRequest);
  }

 private:
  LocalDecision done() {
    held_.apply(command_);
    return Outcome(Done{});
  }

  const Command& command_;
  TokenMode mode_;
  HeldLocks& held_;
};

}  // namespace

LocalDecision decide_here(const Command& command, TokenMode mode, HeldLocks& held) {
  return std::visit(Decide(command, mode, held), command);
}

}  // namespace holdfast::fs
