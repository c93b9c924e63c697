#pragma once
/// All locks of all files: grants, queues, refuses and frees. docs/locks.md tells the rules.
///
/// Knows nothing of leases, connections or repeated requests: Coordinator hands it each request
/// once and ends sessions. Whatever a call decides about *other* requests (waiters granted,
/// cancelled, refused) is appended to the answers, in the order of the decisions.
///
/// Invariants (check_invariants()): L1, L2 (range_table.h), L3 (wait_queue.h) and
///  L4  After each call no front waiter is grantable (no wake-up is lost): a holder is in its way.
///  L5  No cycle of holder edges between POSIX waiters; no cycle with a fairness edge.
///  L6  Trees, counters, tags and the sessions' indexes agree; no agent, holding or file is idle.

#include "lockd/core/limits.h"
#include "lockd/core/lock_objects.h"
#include "lockd/core/range_table.h"
#include "lockd/core/wal_owners.h"

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::lockd {

struct Answer {
  SessionId session;
  RequestNumber number;
  Outcome outcome;
};
using Answers = std::vector<Answer>;

class Locks {
 public:
  /// `probe` outlives this. `patience`: see end_patience().
  /// `salt`: of the tables of files, and for the shapes of trees.
  Locks(const Limits& limits, Duration patience, HashSalt salt, Probe& probe)
      : limits_(limits),
        patience_(patience),
        probe_(probe),
        seed_(salt.first),
        table_(seed_),
        files_(0, FileIdHash{SaltedHash(salt)}) {}
  Locks(const Locks&) = delete;
  Locks& operator=(const Locks&) = delete;
  /// Every session has been ended with end_session() before.
  ~Locks() = default;

  /// Nothing: it waits, and an answer follows.
  [[nodiscard]] std::optional<Outcome> lock(SessionLocks& session, RequestNumber number,
                                            const LockRequest& request, Instant now,
                                            Answers& answers);
  [[nodiscard]] Outcome unlock(SessionLocks& session, const UnlockRequest& request, Instant now,
                               Answers& answers);
  [[nodiscard]] Outcome query(const SessionLocks& session, const QueryRequest& request) const;
  [[nodiscard]] Outcome release_owner(SessionLocks& session, const ReleaseOwnerRequest& request,
                                      Instant now, Answers& answers);
  [[nodiscard]] Outcome release_handle(SessionLocks& session, const ReleaseHandleRequest& request,
                                       Instant now, Answers& answers);
  [[nodiscard]] Outcome cancel(SessionLocks& session, const CancelRequest& request, Instant now,
                               Answers& answers);
  /// `request` ends before it was carried out, as if it had begun to wait: a flock that converts
  /// has given its old lock up by then, and its mount counts on that.
  void cancel_early(SessionLocks& session, const LockRequest& request, Instant now,
                    Answers& answers);
  /// `under_token`: the session has EX of the database, so its locks there are not known here
  /// (docs/tokens.md): the ownership needs none and lasts until end_wal_under_token().
  [[nodiscard]] Outcome claim_wal(SessionLocks& session, const ClaimWalRequest& request,
                                  bool under_token, Instant now, Answers& answers);
  /// Gives away everything of the session: ranges, waiters (unanswered), wal-indexes.
  void end_session(SessionLocks& session, Instant now, Answers& answers);
  /// As end_session(), but the session goes on, empty.
  void clear_session(SessionLocks& session, Instant now, Answers& answers);

  // Absent sessions (docs/reliability.md): their lease is over, they keep what they hold until
  // somebody wants it, and are granted nothing. locks_absent.cc.

  /// The session is absent from now on. Its waiters are withdrawn, unanswered; returned are their
  /// requests, in order of arrival.
  [[nodiscard]] std::vector<std::pair<RequestNumber, LockRequest>> make_absent(
      SessionLocks& session, Instant now, Answers& answers);
  void make_present(SessionLocks& session);
  /// What others want and only absent sessions have, since the last call.
  struct Wanted {
    SessionId session;
    FileId file;
    friend constexpr auto operator<=>(const Wanted&, const Wanted&) = default;
  };
  [[nodiscard]] std::set<Wanted> take_wanted() { return std::exchange(wanted_, {}); }
  /// `file`, and what cannot be lost without it: a database and the files tied to it go together.
  [[nodiscard]] std::vector<FileId> lost_with(const FileId& file) const;
  /// Gives away what the session has in `file`: ranges, wal-index.
  void lose_file(SessionLocks& session, const FileId& file, Instant now, Answers& answers);
  /// The session has something in `file`.
  [[nodiscard]] bool has_file(const SessionLocks& session, const FileId& file) const;

  /// After a restart, before anything is granted: the session says that it holds this. False: it
  /// cannot have it.
  [[nodiscard]] bool reclaim(SessionLocks& session, const HeldLock& held, Instant now,
                             Answers& answers);
  [[nodiscard]] bool reclaim_wal(SessionLocks& session, const FileKey& database, bool under_token,
                                 Instant now, Answers& answers);

  // Tokens (docs/tokens.md): whose locks are decided by mounts. locks_tokens.cc.

  /// What the table has of a file, as far as it matters to a token for `session`.
  struct FileUse {
    bool others = false;     ///< another session has a range
    bool waits = false;      ///< somebody waits
    bool exclusive = false;  ///< somebody has an exclusive range
    bool wal = false;        ///< another session owns the wal-index that the file belongs to
  };
  [[nodiscard]] FileUse use_of(const SessionLocks& session, const FileId& file) const;
  /// The session's mount decides its locks in `file` from now on: they are not known here any more.
  /// Nobody waits there. `exclusive`: if it owns the wal-index, it goes on to without a lock.
  void forget(SessionLocks& session, const FileId& file, bool exclusive, Instant now);
  /// A lock that the session's mount has decided is known here from now on. Refused: it cannot be.
  [[nodiscard]] std::optional<Refused> push(SessionLocks& session, const HeldLock& held,
                                            Instant now, Answers& answers);
  /// The session has no EX of the database any more: its locks decide who owns the wal-index.
  void end_wal_under_token(SessionLocks& session, const FileId& database);

  /// The place of a request that waits, or nothing.
  [[nodiscard]] static std::optional<std::uint64_t> place_of(const SessionLocks& session,
                                                             RequestNumber number);
  /// Tokens of this life start above this. They grow over restarts as epochs do.
  void tokens_from(std::uint64_t first) { last_token_ = first; }

  /// Lets waiters overtake that have stood behind an earlier waiter for `patience` although no
  /// holder is in their way. Cycles that the wait-for graph shows are broken at once; this is for
  /// those it cannot show, for example a shared lock whose holder waits for a child that queues
  /// behind an exclusive request. On Linux the child would not wait at all.
  void end_patience(Instant now, Answers& answers);
  [[nodiscard]] Instant next_patience() const;

  [[nodiscard]] const WalOwners& wal_owners() const { return wal_; }
  [[nodiscard]] std::size_t file_count() const { return files_.size(); }
  /// `sessions`: all that are alive.
  void check_invariants(const std::vector<const SessionLocks*>& sessions) const;

 private:
  struct Ask;  // what is asked for, by a new request or a waiter
  class Check;

  [[nodiscard]] std::optional<Outcome> acquire(const Ask& ask, RequestNumber number, Wait wait);
  [[nodiscard]] std::optional<Outcome> wait_for(const Ask& ask, RequestNumber number);
  [[nodiscard]] std::optional<LockErrc> forbidden(const SessionLocks& session, const FileId& file,
                                                  LockSpace space, const ByteRange& range,
                                                  const std::optional<FileKey>& database) const;
  /// The limit that `growth` more ranges would pass.
  [[nodiscard]] std::optional<Limit> full(const SessionLocks& session, const FileSpace& space,
                                          std::uint32_t growth) const;
  [[nodiscard]] Granted grant(const Ask& ask);
  [[nodiscard]] Outcome refuse(LockErrc errc);
  [[nodiscard]] Refused refuse(Limit limit, const SessionLocks& session);
  void own_wal(SessionLocks& session, const FileId& database);
  void end_idle_wal(SessionLocks& session, const FileId& file);
  void clear_file(SessionLocks& session, File& file);
  void drop_flock(Agent& agent, FileSpace& space);
  void drop_empty(Holding& holding);
  void withdraw(Waiter& waiter);
  void answer(Waiter& waiter, Outcome outcome);
  void overtake(Waiter& waiter);
  void let_give_way(Waiter& waiter);
  void break_fairness_cycles(Waiter& waiter);
  void break_cycles_after_grant(Agent& agent);
  void look_at(Waiter& waiter);
  void wake(const FileSpace& space);
  void want(const Ask& ask);
  void want_wal(const SessionLocks& asking, const FileId& database);
  void finish();
  void settle();
  void begin(Instant now, Answers& answers);
  void check_idle(Agent& agent);
  void check_idle(File& file);

  [[nodiscard]] File* find(const FileId& id) const;
  /// The limit that one more file of this volume would pass.
  [[nodiscard]] std::optional<Limit> full(const VolumeId& volume) const;
  /// The file, or the limit that stands against opening it.
  [[nodiscard]] std::variant<File*, Limit> find_or_open(const FileId& id);
  void close(const FileId& id);
  [[nodiscard]] static Agent* find(const SessionLocks& session, AgentKey key);
  [[nodiscard]] static Agent& find_or_make(SessionLocks& session, AgentKey key);
  [[nodiscard]] static Holding* find(Agent& agent, FileSpace& space);
  [[nodiscard]] static bool holds(const SessionLocks& session, const FileSpace& space,
                                  const ByteRange& range);

  Limits limits_;
  Duration patience_;
  Probe& probe_;
  std::uint64_t seed_ = 0;
  std::uint64_t last_token_ = 0;  ///< one counter for all files, so it grows per file also when a
                                  ///< file was forgotten in between
  std::uint64_t last_seq_ = 0;
  std::size_t tries_waiting_ = 0;  ///< waiters that are OwnerKind::kGivesWay
  RangeTable table_;
  WalOwners wal_;
  std::unordered_map<FileId, std::unique_ptr<File>, FileIdHash> files_;
  std::map<VolumeId, std::size_t> files_of_volume_;  ///< how many of these, where there are any
  std::map<std::pair<Instant, std::uint64_t>, Waiter*> impatient_;  ///< by (patience_until, seq)
  std::map<std::uint64_t, Waiter*> wal_waiters_;                    ///< with wal_database, by seq
  std::size_t absent_sessions_ = 0;
  std::set<Wanted> wanted_;

  // Of the call that is going on.
  Instant now_{};
  Answers* answers_ = nullptr;
  std::vector<ByteRange> freed_;
  std::map<std::uint64_t, Waiter*> settling_;  ///< to be looked at, in order of arrival
  std::vector<Agent*> idle_agents_;
  std::vector<File*> idle_files_;
};

}  // namespace holdfast::lockd
