#pragma once
/// The coordinator's rules as one pure state machine: sessions, leases, fencing, restart, range and
/// flock locks, waiters, deadlock detection, wal-index ownership, exactly-once replies. No I/O,
/// clock, thread or randomness.
///
/// Thread: one owner. Time: `now` must not go backwards between calls.
/// Every call returns the effects the shell must perform, in order; whatever follows a Record waits
/// until that record is on stable storage. Session ids and secrets come from the shell
/// (`Identity`), since the core has no randomness; ids must be fresh. A lease that has run out at
/// `now` ends before the call does anything else, whether or not tick() came in between, so nothing
/// is ever granted to a session past its lease. docs/locks.md has the semantics of locks,
/// docs/reliability.md those of sessions (phases: session.h).
///
/// Grace: after a restart, until every session of the former life is back or fenced, requests are
/// admitted but carried out only at its end: nobody is granted what somebody else may hold (I7).
/// Former sessions that were known to be quiet when lockd died are waited for only a moment, and
/// only when somebody asks for something: they are lost as all that do not return, but they need
/// not be waited out.

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/lock/message.h"
#include "lockd/core/limits.h"
#include "lockd/core/records.h"
#include "lockd/core/salted_hash.h"
#include "lockd/core/snapshot.h"
#include "lockd/core/token_options.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast::lockd {

/// How it is made sure that a session whose lease is over writes no more.
enum class FenceStep : std::uint8_t {
  kWaitOut,  ///< until lease end + Hello::write_life + storage_delay
  kCommand,  ///< the administrator's fence command
};

struct Options {
  Limits limits;
  HashSalt salt;
  std::chrono::milliseconds lease_ttl{10'000};
  /// How long a waiter that no holder blocks stands behind an earlier waiter at most
  /// (docs/locks.md, "Patience").
  std::chrono::milliseconds fairness_patience{5'000};
  /// How long a write that has reached the storage's host may wait there before it takes effect.
  std::chrono::milliseconds storage_delay{2'000};
  /// Hello::write_life of sessions that nobody remembers (an empty store).
  std::chrono::milliseconds write_life_default{5'000};
  /// How long an expired session keeps what nobody wants.
  std::chrono::milliseconds courtesy_max{std::chrono::hours(24)};
  /// How long a fenced session stays that has nothing left: it counts towards sessions_max.
  std::chrono::milliseconds idle_max{60'000};
  /// So many files a fenced session loses one by one, each recorded before it is given away. With
  /// the next it is taken for ended by a later life of lockd, and no loss waits for its record.
  std::size_t losses_awaited_max = 16;
  /// After a restart: how long quiet sessions (Quiet, records.h) may still return once they are the
  /// only ones missing and somebody asks for something.
  std::chrono::milliseconds quiet_return{1'500};
  /// A returning session that said Hello must have told everything by then.
  std::chrono::milliseconds reclaim_max{30'000};
  /// In this order; the first that succeeds is enough. If none does: again, after fence_retry.
  std::vector<FenceStep> fence{FenceStep::kWaitOut};
  std::chrono::milliseconds fence_retry{10'000};
  TokenOptions tokens;
};

/// A connection, as the shell numbers it; never reused.
using ConnectionId = Id<struct ConnectionIdTag>;

/// Of a Hello: for the session that it opens, if it opens one.
struct Identity {
  SessionId session;
  SessionSecret secret{};
  std::string address;  ///< where it comes from, without port
  /// That its volume's name is no other volume's is for us to see. Not where the credential is for
  /// this volume: what such a mount calls it is its own word, and must keep nobody else out.
  bool compare_name = true;
};

// Effects, in the order to be performed.

/// About a numbered request. Kept by the core until acknowledged; drop it if nobody is connected.
struct SendReply {
  SessionId session;
  Reply reply;
};
/// Anything else to a session; drop it if nobody is connected.
struct Send {
  SessionId session;
  ServerMessage message;
};
/// Answers a Hello. A Welcome makes the connection the session's; its older one is closed. A
/// refusal closes the connection.
struct Greet {
  ConnectionId connection;
  std::variant<Welcome, HelloRefused> answer;
};
/// The session is gone from the core (or a request named one that it never knew). Whoever is
/// connected as that session is told so and disconnected.
struct EndSession {
  SessionId session;
};
/// Close the session's connection: it must come back with a Hello.
struct Disconnect {
  SessionId session;
};
/// To a connection that is no session's: an administrator's, about this session.
struct Tell {
  ConnectionId connection;
  SessionId about;
  ServerMessage message;
};
/// To be on stable storage before any later effect is performed.
struct Record {
  StoreChanges changes;
};
/// Run the fence command for this session and report with fence_done().
struct RunFence {
  SessionId session;
  std::uint64_t attempt = 0;
  SessionRecord record;
};
using Effect = std::variant<SendReply, Send, Greet, Tell, EndSession, Disconnect, Record, RunFence>;
using Effects = std::vector<Effect>;

/// What an order to break something led to.
struct BreakOutcome {
  std::optional<std::string> refused;  ///< why nothing was done, for people
  Duration at_most{0};  ///< until it is given away, if the fence's first step is to wait
  Effects effects;
};

/// Of a session that is being fenced: what that waits for.
struct FenceState {
  bool command = false;  ///< RunFence's answer
  bool failed = false;   ///< no step helped; all begin anew at `until`
  Instant until;         ///< without `command`
};

struct Status {
  Epoch epoch;
  bool grace = false;
  bool stale = false;  ///< serves nobody: a mount has seen a later epoch than the store knows
  std::size_t returning = 0;
  std::size_t courtesy = 0;
  std::size_t fencing = 0;
  Instant grace_until;  ///< not before; Instant::max() while sessions are still to return
};

class Coordinator {
 public:
  Coordinator(Options options, Recovered recovered, Instant started);
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  /// Opens a session under `fresh`, or resumes the one named in `hello` and renews its lease. The
  /// effects have one Greet for `connection`. Refusals: kVersionMismatch, kStarting (being fenced
  /// or broken), kSessionLost and kBadSecret (resume), kTooManySessions, kStandby, kStaleLockd.
  [[nodiscard]] Effects hello(const Hello& hello, const Identity& fresh, ConnectionId connection,
                              Instant now);
  /// The connection of a session ended or began; kept for listings only, the lease decides about
  /// life.
  void connected(SessionId session, bool yes);
  /// A numbered request. Any request renews the lease. A repeated number is answered with the kept
  /// reply, or not at all while the first is still waiting. Numbers grow by one from 1; a number
  /// that was acknowledged, leaves a gap or acknowledges what was not answered is refused with
  /// kBadRequest and changes nothing. An unknown session gets EndSession, one that must say Hello
  /// first Disconnect.
  [[nodiscard]] Effects request(SessionId session, const Request& request, Instant now);
  /// What a returning session holds; the last one makes it live.
  [[nodiscard]] Effects reclaim(SessionId session, const Reclaim& reclaim, Instant now);
  /// Answered by Renewed if the lease was renewed.
  [[nodiscard]] Effects renew(SessionId session, const Renew& renew, Instant now);
  [[nodiscard]] Effects goodbye(SessionId session, Instant now);
  /// What became of RunFence. Unknown sessions and old attempts are ignored.
  [[nodiscard]] Effects fence_done(SessionId session, std::uint64_t attempt, bool succeeded,
                                   Instant now);
  /// Takes everything, or what the session has in `file`, away from it: it is not renewed any more,
  /// and loses it once its lease is over and it is fenced.
  [[nodiscard]] BreakOutcome break_session(SessionId session, Instant now);
  [[nodiscard]] BreakOutcome break_file(SessionId session, const FileKey& file, Instant now);
  /// Replicas: this lockd may act until then. Past it nobody is granted, renewed, expired or
  /// welcomed. For ever unless set.
  void authority(Instant until);
  /// What time brings: leases, fences, patience, the end of grace.
  [[nodiscard]] Effects tick(Instant now);
  /// When tick() should be called next; nothing to wait for = Instant::max().
  [[nodiscard]] Instant next_deadline() const;

  [[nodiscard]] Status status() const;
  /// Nothing for a session that is not being fenced.
  [[nodiscard]] std::optional<FenceState> fencing(SessionId session) const;
  [[nodiscard]] SessionList list_sessions(Instant now) const;
  [[nodiscard]] LockList list_locks(Instant now, std::size_t entries_max) const;
  /// Locks of all files with this number, and the mounts that may know of more: in the asker's
  /// volume; without one, in all. Nothing: there is no such session. O(what the volume has locked).
  [[nodiscard]] std::optional<WhoAnswer> who(std::optional<SessionId> asker, std::uint64_t fileid,
                                             Instant now) const;
  /// For the status page and metrics: bounded work, whatever there is (snapshot.h).
  [[nodiscard]] Snapshot snapshot(const SnapshotLimits& limits, Instant now) const;
  [[nodiscard]] const Probe& probe() const;
  /// Aborts (HOLDFAST_ASSERT) if an invariant is broken. O(everything); for tests and debug builds.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::lockd
