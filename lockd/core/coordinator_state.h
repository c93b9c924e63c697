#pragma once
/// Inner to coordinator*.cc.

#include "lockd/core/coordinator.h"
#include "lockd/core/locks.h"
#include "lockd/core/session.h"
#include "lockd/core/tokens.h"

#include <optional>
#include <set>

namespace holdfast::lockd {

/// What administrators see of it. coordinator_list.cc.
[[nodiscard]] SessionPhase phase_of(const Session& session);
[[nodiscard]] SessionInfo info_of(const Session& session, Instant now);

struct Coordinator::State {
  State(Options given, Recovered recovered, Instant start);

  // Around each call: what time has brought; then what the call has made possible.
  void begin(Instant now, Effects& effects);
  void finish(Instant now, Effects& effects);
  [[nodiscard]] bool may_act(Instant now) const { return !stale && now < authority_until; }

  // coordinator.cc: greeting and leaving
  using HelloAnswer = std::variant<Welcome, HelloRefused>;
  [[nodiscard]] HelloAnswer greet(const Hello& hello, const Identity& fresh, Instant now,
                                  Effects& before, Effects& after);
  [[nodiscard]] HelloRefused full(Limit limit, const char* reason);
  [[nodiscard]] HelloAnswer open(const Hello& hello, const Identity& fresh, Instant now,
                                 Effects& before);
  [[nodiscard]] HelloAnswer resume(const Hello& hello, const Identity& fresh, Instant now,
                                   Effects& before, Effects& after);
  [[nodiscard]] Welcome welcome(const Session& session) const;
  void see_losses(Session& session, LossNumber seen, Effects& effects);

  // coordinator_requests.cc
  [[nodiscard]] static Effects unknown(SessionId id, Effects effects);
  /// Of a request that has to wait. One of a former life is before all of this one, and stays: if
  /// some waiters had places of two lives, and others only the later one, the next restart would
  /// turn their order round. Who comes back too late for it queues behind those that are here.
  enum class Place : std::uint8_t { kNew, kOfFormerLife };
  void carry_out(Session& session, RequestNumber number, const Command& command, Place place,
                 Instant now, Effects& effects);
  [[nodiscard]] std::optional<Outcome> execute(Session& session, RequestNumber number,
                                               const Command& command, Instant now,
                                               Answers& answers);
  void admit(Session& session, const Request& request, Instant now, Effects& effects);
  void take_back(Session& session, const Reclaim& reclaim, Instant now, Effects& effects);
  void end_grace(Instant now, Effects& effects);
  void cancel_deferred(Session& session, RequestNumber target, Instant now, Effects& effects);
  /// Keeps and sends what was decided about requests.
  void perform(const Answers& answers, Effects& effects);
  void reply(Session& session, RequestNumber number, const Outcome& outcome, Effects& effects);

  // coordinator_tokens.cc
  /// Answers and recalls that the tokens have decided on.
  void tell(Effects& effects);
  /// Lockd may decide about this session's locks in `file`.
  [[nodiscard]] bool decided_here(const Session& session, const FileKey& file,
                                  Tokens::LockUse use) const;
  [[nodiscard]] Outcome assert_implied(Session& session, RequestNumber number,
                                       const TokenAssert& assertion, Instant now);
  void repeat_recalls(Instant now, Effects& effects);
  void break_overdue(Session& session, const FileKey& file, Effects& effects);
  [[nodiscard]] bool take_back_token(Session& session, const HeldToken& held, Instant now);
  [[nodiscard]] bool take_back_lock(Session& session, const HeldLock& held, Instant now,
                                    Answers& answers);
  [[nodiscard]] bool has_file(const Session& session, const FileId& file) const;
  void check_tokens();

  // coordinator_expiry.cc: leases, fencing, giving away
  void end_leases(Instant now, Effects& effects);
  void lease_over(Session& session, Instant now, Effects& effects);
  void due(Session& session, Instant now, Effects& effects);
  /// Back, or reclaimed: everything goes on, its deferred requests too.
  void make_live(Session& session, Instant now, Effects& effects);
  /// Somebody wants `file`, or an administrator does.
  void lose(Session& session, const FileId& file, Instant now, Effects& effects);
  void lose_everything(Session& session, Instant now, Effects& effects);
  void start_fence(Session& session, Instant now, Effects& effects);
  void next_fence_step(Session& session, Instant now, Effects& effects);
  void fenced(Session& session, Instant now, Effects& effects);
  [[nodiscard]] Instant fenced_due(const Session& session, Instant now) const;
  /// What it does not hold (any more) cannot be broken.
  void keep_breaks_of_held(Session& session, Effects& effects);
  void end_in_store(Session& session, Effects& effects);
  void note_loss(Session& session, const FileKey& file, Effects& effects);
  void give_away_lost(Session& session, Instant now, Effects& effects);
  /// The one way out: whatever a session had is given away here.
  void end(Session& session, Instant now, Effects& effects);
  void serve_wanted(Instant now, Effects& effects);
  void forget_former(Session& session);
  [[nodiscard]] Instant fence_wait_until(const Session& session) const;
  /// When something happens next to a session in courtesy.
  [[nodiscard]] Instant courtesy_due(const Session& session) const;
  void become_quiet(Session& session, Quiet how, Effects& effects);
  /// Of a former life: it is welcome for as long as nobody needs the end of grace.
  void await_quiet(Session& session, Instant start);
  void give_up_quiet(Instant now, Effects& effects);
  [[nodiscard]] Instant quiet_until() const;

  Options options;
  Epoch epoch;
  std::optional<Epoch> former_epoch;  ///< Recovered::before
  bool grace = false;
  Instant grace_until;                  ///< grace does not end before
  std::size_t formers = 0;              ///< sessions with Session::former
  std::set<SessionId> quiet_formers;    ///< of these, quiet and not back
  std::optional<Instant> grace_wanted;  ///< since when somebody waits for the end of grace
  bool stale = false;
  Instant authority_until = Instant::max();
  std::uint64_t last_arrival = 0;
  std::uint64_t last_attempt = 0;
  Probe probe;
  Sessions sessions;
  Locks locks;
  Tokens tokens;
};

}  // namespace holdfast::lockd
