#include "lockd/core/coordinator.h"

#include "holdfast/base/assert.h"
#include "lockd/core/coordinator_state.h"

#include <algorithm>
#include <utility>

namespace holdfast::lockd {
namespace {

HelloRefused refused(LockErrc errc, const char* reason) {
  return {.errc = errc, .retry_after = std::chrono::milliseconds{0}, .reason = reason};
}

/// Secrets are compared without telling by the time taken how far they agree.
bool same_secret(const SessionSecret& a, const SessionSecret& b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

Coordinator::Coordinator(Options options, Epoch epoch, Instant started)
    : state_(std::make_unique<State>(options, epoch, started)) {}

Coordinator::~Coordinator() {
  Answers nobody_listens;
  while (Session* session = state_->sessions.first()) {
    state_->locks.end_session(session->locks, Instant{}, nobody_listens);
    state_->sessions.erase(*session);
  }
}

// ---- Sessions

HelloOutcome Coordinator::hello(const Hello& hello, const Identity& fresh, Instant now) {
  HelloOutcome outcome{HelloRefused{}, {}};
  state_->end_expired(now, outcome.effects);
  if (hello.version_min > kProtocolVersion || hello.version_max < kProtocolVersionMin) {
    outcome.answer = refused(LockErrc::kVersionMismatch, "no common protocol version");
  } else if (const Instant ready = state_->started + state_->options.startup_wait; now < ready) {
    outcome.answer =
        HelloRefused{.errc = LockErrc::kStarting,
                     .retry_after = std::chrono::ceil<std::chrono::milliseconds>(ready - now),
                     .reason = "waiting out the leases of a former life"};
  } else if (hello.resume) {
    outcome.answer = state_->resume(hello, now, outcome.effects);
  } else {
    outcome.answer = state_->open(hello, fresh, now);
  }
  return outcome;
}

std::variant<Welcome, HelloRefused> Coordinator::State::open(const Hello& hello,
                                                             const Identity& fresh, Instant now) {
  if (sessions.size() >= options.limits.sessions_max) {
    ++probe.limit_hits;
    return refused(LockErrc::kTooManySessions, "too many sessions");
  }
  // One name, two volumes: one of the mounts sees another export (a replaced disk, a lost marker),
  // and locks of the two would not meet.
  for (const Session& other : sessions.by_lease()) {
    if (other.hello.volume != hello.volume && !hello.volume_name.empty() &&
        other.hello.volume_name == hello.volume_name)
      return refused(LockErrc::kBadRequest,
                     "another volume is mounted under this name elsewhere: the markers differ");
  }
  HOLDFAST_ASSERT(sessions.find(fresh.session) == nullptr, "the shell gives fresh session ids");
  return welcome(sessions.open(hello, fresh.session, fresh.secret, now + options.lease_ttl,
                               options.limits.requests_in_flight_max));
}

std::variant<Welcome, HelloRefused> Coordinator::State::resume(const Hello& hello, Instant now,
                                                               Effects& effects) {
  Session* session = sessions.find(hello.resume->session);
  if (session == nullptr) return refused(LockErrc::kSessionLost, "no such session any more");
  if (!same_secret(session->secret, hello.resume->secret) || session->hello.volume != hello.volume)
    return refused(LockErrc::kBadSecret, "this session belongs to somebody else");
  sessions.renew(*session, now + options.lease_ttl);
  session->connected = true;
  for (const Reply& kept : session->replies.all())
    effects.push_back(SendReply{session->id(), kept});
  return welcome(*session);
}

Welcome Coordinator::State::welcome(const Session& session) const {
  return {.version = kProtocolVersion,
          .session = session.id(),
          .secret = session.secret,
          .epoch = epoch,
          .lease_ttl = options.lease_ttl,
          .requests_in_flight_max = options.limits.requests_in_flight_max};
}

void Coordinator::connected(SessionId session, bool yes) {
  if (Session* known = state_->sessions.find(session)) known->connected = yes;
}

bool Coordinator::renew(SessionId session, Instant now) {
  Session* known = state_->sessions.find(session);
  // Past its lease it is as good as gone: the next tick(), due already, says so to everybody.
  if (known == nullptr || known->lease_until <= now) return false;
  state_->sessions.renew(*known, now + state_->options.lease_ttl);
  return true;
}

Effects Coordinator::goodbye(SessionId session, Instant now) {
  Effects effects;
  state_->end_expired(now, effects);
  if (Session* known = state_->sessions.find(session)) state_->give_away(*known, now, effects);
  return effects;
}

Effects Coordinator::tick(Instant now) {
  Effects effects;
  state_->end_expired(now, effects);
  Answers answers;
  state_->locks.end_patience(now, answers);
  state_->perform(answers, effects);
  return effects;
}

Instant Coordinator::next_deadline() const {
  const Session* first = state_->sessions.first();
  const Instant lease = first == nullptr ? Instant::max() : first->lease_until;
  return std::min(lease, state_->locks.next_patience());
}

void Coordinator::State::end_expired(Instant now, Effects& effects) {
  while (Session* session = sessions.first()) {
    if (session->lease_until > now) return;
    ++probe.expiries;
    give_away(*session, now, effects);
  }
}

void Coordinator::State::give_away(Session& session, Instant now, Effects& effects) {
  effects.push_back(EndSession{session.id()});
  Answers answers;
  locks.end_session(session.locks, now, answers);
  sessions.erase(session);
  perform(answers, effects);
}

// ---- Requests

Effects Coordinator::request(SessionId session, const Request& request, Instant now) {
  Effects effects;
  state_->end_expired(now, effects);
  Session* known = state_->sessions.find(session);
  if (known == nullptr) {
    // It may just have been ended above, with its EndSession among the effects.
    const auto told = std::any_of(effects.begin(), effects.end(), [&](const Effect& effect) {
      const auto* end = std::get_if<EndSession>(&effect);
      return end != nullptr && end->session == session;
    });
    if (!told) effects.push_back(EndSession{session});
    return effects;
  }
  state_->sessions.renew(*known, now + state_->options.lease_ttl);
  const auto refuse = [&](LockErrc errc) {
    effects.push_back(SendReply{session, {request.number, Refused{errc}}});
  };
  switch (known->replies.admit(request.number, request.acknowledged)) {
    case KeptReplies::Admission::kNew: {
      Answers answers;
      if (const auto outcome = state_->execute(*known, request, now, answers))
        state_->reply(*known, request.number, *outcome, effects);
      state_->perform(answers, effects);
      break;
    }
    case KeptReplies::Admission::kAnswered:
      effects.push_back(SendReply{session, {request.number, known->replies.kept(request.number)}});
      break;
    case KeptReplies::Admission::kWaiting:
      break;
    case KeptReplies::Admission::kTooMany:
      ++state_->probe.limit_hits;
      refuse(LockErrc::kTooManyRequests);
      break;
    case KeptReplies::Admission::kBad:
      refuse(LockErrc::kBadRequest);
      break;
  }
  return effects;
}

std::optional<Outcome> Coordinator::State::execute(Session& session, const Request& request,
                                                   Instant now, Answers& answers) {
  SessionLocks& held = session.locks;
  struct Visitor {
    Locks& locks;
    SessionLocks& held;
    RequestNumber number;
    Instant now;
    Answers& answers;
    std::optional<Outcome> operator()(const LockRequest& command) {
      return locks.lock(held, number, command, now, answers);
    }
    std::optional<Outcome> operator()(const UnlockRequest& command) {
      return locks.unlock(held, command, now, answers);
    }
    std::optional<Outcome> operator()(const QueryRequest& command) {
      return locks.query(held, command);
    }
    std::optional<Outcome> operator()(const ReleaseOwnerRequest& command) {
      return locks.release_owner(held, command, now, answers);
    }
    std::optional<Outcome> operator()(const ReleaseHandleRequest& command) {
      return locks.release_handle(held, command, now, answers);
    }
    std::optional<Outcome> operator()(const CancelRequest& command) {
      return locks.cancel(held, command, now, answers);
    }
    std::optional<Outcome> operator()(const ClaimWalRequest& command) {
      return locks.claim_wal(held, command, now, answers);
    }
  };
  return std::visit(Visitor{locks, held, request.number, now, answers}, request.command);
}

void Coordinator::State::perform(const Answers& answers, Effects& effects) {
  for (const Answer& answer : answers) {
    Session* session = sessions.find(answer.session);
    HOLDFAST_ASSERT(session != nullptr, "only live sessions have waiters");
    reply(*session, answer.number, answer.outcome, effects);
  }
}

void Coordinator::State::reply(Session& session, RequestNumber number, const Outcome& outcome,
                               Effects& effects) {
  session.replies.keep(number, outcome);
  effects.push_back(SendReply{session.id(), {number, outcome}});
}

const Probe& Coordinator::probe() const {
  return state_->probe;
}

}  // namespace holdfast::lockd
