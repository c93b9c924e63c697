#pragma once
/// The coordinator's rules as one pure state machine: sessions, leases, range and flock locks,
/// waiters, deadlock detection, wal-index ownership, exactly-once replies. No I/O, clock, thread or
/// randomness.
///
/// Thread: one owner. Time: `now` must not go backwards between calls.
/// Every call returns the effects the shell must perform, in order. Session ids and secrets come
/// from the shell (`Identity`), since the core has no randomness; ids must be fresh. A lease that
/// has run out at `now` ends its session before the call does anything else, whether or not tick()
/// came in between, so nothing is ever granted to, or kept for, a session past its lease.
/// docs/locks.md has the semantics of locks.

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/lock/message.h"
#include "lockd/core/limits.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

namespace holdfast::lockd {

struct Options {
  Limits limits;
  std::chrono::milliseconds lease_ttl{10'000};
  /// No session is welcomed before `started` + this: a former life of lockd may have promised
  /// leases until then (I7).
  std::chrono::milliseconds startup_wait{10'000};
  /// How long a waiter that no holder blocks stands behind an earlier waiter at most
  /// (docs/locks.md, "Patience").
  std::chrono::milliseconds fairness_patience{5'000};
};

/// For the session that a Hello opens, if it opens one.
struct Identity {
  SessionId session;
  SessionSecret secret{};
};

// Effects, in the order to be performed.
struct SendReply {
  SessionId session;
  Reply reply;
};
/// The session is gone from the core (or a request named one that it never knew). Whoever is
/// connected as that session is told so and disconnected.
struct EndSession {
  SessionId session;
};
using Effect = std::variant<SendReply, EndSession>;
using Effects = std::vector<Effect>;

struct HelloOutcome {
  std::variant<Welcome, HelloRefused> answer;
  /// Performed after the answer was sent: replies kept for a resumed session, in number order, and
  /// what became of sessions whose lease had run out.
  Effects effects;
};

class Coordinator {
 public:
  Coordinator(Options options, Epoch epoch, Instant started);
  ~Coordinator();
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;

  /// Opens a session under `fresh`, or resumes the one named in `hello` and renews its lease.
  /// Refusals: kVersionMismatch, kStarting, kSessionLost and kBadSecret (resume), kTooManySessions.
  [[nodiscard]] HelloOutcome hello(const Hello& hello, const Identity& fresh, Instant now);
  /// The connection of a session ended or began; kept for listings only, the lease decides about
  /// life.
  void connected(SessionId session, bool yes);
  /// A numbered request. Any request renews the lease. A repeated number is answered with the kept
  /// reply, or not at all while the first is still waiting. Numbers grow by one from 1; a number
  /// that was acknowledged, leaves a gap or acknowledges what was not answered is refused with
  /// kBadRequest and changes nothing. An unknown session gets EndSession.
  [[nodiscard]] Effects request(SessionId session, const Request& request, Instant now);
  /// False: the session is unknown or its lease has run out (tell the client, disconnect).
  [[nodiscard]] bool renew(SessionId session, Instant now);
  [[nodiscard]] Effects goodbye(SessionId session, Instant now);
  /// Ends sessions whose lease has run out, and the patience of waiters.
  [[nodiscard]] Effects tick(Instant now);
  /// When tick() should be called next; nothing to wait for = Instant::max().
  [[nodiscard]] Instant next_deadline() const;

  [[nodiscard]] SessionList list_sessions(Instant now) const;
  [[nodiscard]] LockList list_locks(Instant now, std::size_t entries_max) const;
  [[nodiscard]] const Probe& probe() const;
  /// Aborts (HOLDFAST_ASSERT) if an invariant is broken. O(everything); for tests and debug builds.
  void check_invariants() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::lockd
