#pragma once
/// Inner to coordinator*.cc.

#include "lockd/core/coordinator.h"
#include "lockd/core/locks.h"
#include "lockd/core/session.h"

namespace holdfast::lockd {

struct Coordinator::State {
  State(const Options& given, Epoch life, Instant start)
      : options(given),
        epoch(life),
        started(start),
        locks(given.limits, given.fairness_patience, probe) {}

  void end_expired(Instant now, Effects& effects);
  /// The one way out: whatever a session had is given away here, and only here.
  void give_away(Session& session, Instant now, Effects& effects);
  /// Keeps and sends what was decided about requests.
  void perform(const Answers& answers, Effects& effects);
  void reply(Session& session, RequestNumber number, const Outcome& outcome, Effects& effects);
  [[nodiscard]] std::optional<Outcome> execute(Session& session, const Request& request,
                                               Instant now, Answers& answers);
  [[nodiscard]] std::variant<Welcome, HelloRefused> open(const Hello& hello, const Identity& fresh,
                                                         Instant now);
  [[nodiscard]] std::variant<Welcome, HelloRefused> resume(const Hello& hello, Instant now,
                                                           Effects& effects);
  [[nodiscard]] Welcome welcome(const Session& session) const;

  Options options;
  Epoch epoch;
  Instant started;
  Probe probe;
  Sessions sessions;
  Locks locks;
};

}  // namespace holdfast::lockd
