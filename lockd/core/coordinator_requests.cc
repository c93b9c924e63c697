// Numbered requests: admitted once, carried out now or after the grace period, answered once.

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"
#include "lockd/core/coordinator_state.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace holdfast::lockd {

Effects Coordinator::request(SessionId id, const Request& request, Instant now) {
  Effects effects;
  State& state = *state_;
  state.begin(now, effects);
  Session* session = state.sessions.find(id);
  if (!state.may_act(now) && !mutated(Mutation::kDeposedLeaderRenews)) {
    effects.push_back(Disconnect{id});
    return effects;
  }
  if (session == nullptr) return State::unknown(id, std::move(effects));
  if (session->phase == Phase::kCourtesy && session->record.quiet == Quiet::kNo)
    state.make_live(*session, now, effects);
  if (session->phase != Phase::kLive && !mutated(Mutation::kSessionNotCheckedAtGrant)) {
    effects.push_back(Disconnect{id});
    return effects;
  }
  if (session->phase == Phase::kLive && !session->record.breaks.given())
    state.sessions.renew(*session, now + state.options.lease_ttl);
  state.admit(*session, request, now, effects);
  state.finish(now, effects);
  return effects;
}

Effects Coordinator::State::unknown(SessionId id, Effects effects) {
  // It may just have been ended, with its EndSession among the effects.
  const auto told = std::any_of(effects.begin(), effects.end(), [&](const Effect& effect) {
    const auto* end = std::get_if<EndSession>(&effect);
    return end != nullptr && end->session == id;
  });
  if (!told) effects.push_back(EndSession{id});
  return effects;
}

void Coordinator::State::admit(Session& session, const Request& request, Instant now,
                               Effects& effects) {
  const auto refuse = [&](const Refused& refused) {
    effects.push_back(SendReply{session.id(), {request.number, refused}});
  };
  switch (session.replies.admit(request.number, request.acknowledged)) {
    case KeptReplies::Admission::kNew:
      if (const auto* cancel = std::get_if<CancelRequest>(&request.command))
        cancel_deferred(session, cancel->target, now, effects);
      if (grace && !std::holds_alternative<CancelRequest>(request.command)) {
        session.deferred.emplace(request.number, Deferred{++last_arrival, request.command});
        if (!grace_wanted) grace_wanted = now;
      } else {
        carry_out(session, request.number, request.command, Place::kNew, now, effects);
      }
      break;
    case KeptReplies::Admission::kAnswered:
      effects.push_back(
          SendReply{session.id(), {request.number, session.replies.kept(request.number)}});
      break;
    case KeptReplies::Admission::kWaiting:
      break;
    case KeptReplies::Admission::kTooMany:
      probe.limit_hits.add(Limit::kRequestsOfSession, session.id());
      refuse(refused_by(Limit::kRequestsOfSession, options.limits));
      break;
    case KeptReplies::Admission::kBad:
      refuse({.errc = LockErrc::kBadRequest});
      break;
  }
}

void Coordinator::State::carry_out(Session& session, RequestNumber number, const Command& command,
                                   Place place, Instant now, Effects& effects) {
  Answers answers;
  if (const auto outcome = execute(session, number, command, now, answers)) {
    reply(session, number, *outcome, effects);
  } else if (const auto seq = Locks::place_of(session.locks, number); seq && place == Place::kNew) {
    effects.push_back(Send{session.id(), Queued{number, {epoch, *seq}}});
  }
  perform(answers, effects);
  tell(effects);
}

std::optional<Outcome> Coordinator::State::execute(Session& session, RequestNumber number,
                                                   const Command& command, Instant now,
                                                   Answers& answers) {
  struct Visitor {
    State& state;
    Session& session;
    RequestNumber number;
    Instant now;
    Answers& answers;
    Locks& locks = state.locks;
    SessionLocks& held = session.locks;
    std::optional<Outcome> operator()(const LockRequest& request) {
      if (!state.decided_here(session, request.file, Tokens::LockUse::kLock))
        return Refused{LockErrc::kBadRequest};
      return locks.lock(held, number, request, now, answers);
    }
    std::optional<Outcome> operator()(const UnlockRequest& request) {
      return locks.unlock(held, request, now, answers);
    }
    std::optional<Outcome> operator()(const QueryRequest& request) {
      if (!state.decided_here(session, request.file, Tokens::LockUse::kLock))
        return Refused{LockErrc::kBadRequest};
      return locks.query(held, request);
    }
    std::optional<Outcome> operator()(const ReleaseOwnerRequest& request) {
      return locks.release_owner(held, request, now, answers);
    }
    std::optional<Outcome> operator()(const ReleaseHandleRequest& request) {
      return locks.release_handle(held, request, now, answers);
    }
    std::optional<Outcome> operator()(const CancelRequest& request) {
      state.tokens.cancel(session.tokens, request.target, now);
      return locks.cancel(held, request, now, answers);
    }
    std::optional<Outcome> operator()(const ClaimWalRequest& request) {
      if (!state.decided_here(session, request.database, Tokens::LockUse::kWalIndex))
        return Refused{LockErrc::kBadRequest};
      const bool under_token =
          state.tokens.exclusive(session.tokens, {held.volume, request.database});
      return locks.claim_wal(held, request, under_token, now, answers);
    }
    std::optional<Outcome> operator()(const TokenRequest& request) {
      return state.tokens.request(session.tokens, number, request, now);
    }
    std::optional<Outcome> operator()(const PushLocks& push) {
      return state.tokens.push(session.tokens, push, now, answers);
    }
    std::optional<Outcome> operator()(const TokenRelease& release) {
      return state.tokens.release(session.tokens, number, release, now);
    }
    std::optional<Outcome> operator()(const TokenAssert& assertion) {
      return state.assert_implied(session, number, assertion, now);
    }
  };
  return std::visit(Visitor{*this, session, number, now, answers}, command);
}

void Coordinator::State::cancel_deferred(Session& session, RequestNumber target, Instant now,
                                         Effects& effects) {
  const auto at = session.deferred.find(target);
  if (at == session.deferred.end()) return;
  const Command& command = at->second.command;
  const auto* lock = std::get_if<LockRequest>(&command);
  if (lock == nullptr && !std::holds_alternative<TokenRequest>(command)) return;
  Answers answers;
  if (lock != nullptr) locks.cancel_early(session.locks, *lock, now, answers);
  session.deferred.erase(at);
  ++probe.cancels;
  reply(session, target, Refused{LockErrc::kInterrupted}, effects);
  perform(answers, effects);
}

void Coordinator::State::perform(const Answers& answers, Effects& effects) {
  for (const Answer& answer : answers) {
    Session* session = sessions.find(answer.session);
    HOLDFAST_ASSERT(session != nullptr, "only sessions that are known have waiters");
    reply(*session, answer.number, answer.outcome, effects);
  }
}

void Coordinator::State::reply(Session& session, RequestNumber number, const Outcome& outcome,
                               Effects& effects) {
  session.replies.keep(number, outcome);
  effects.push_back(SendReply{session.id(), {number, outcome}});
}

/// Everybody of the former life is back, or fenced: what was asked meanwhile is carried out. First
/// those that waited before the restart, in their old order, then the others as they came.
void Coordinator::State::end_grace(Instant now, Effects& effects) {
  if (formers > 0 || now < grace_until) return;
  grace = false;
  effects.push_back(Record{{Settled{}}});
  tokens.end_grace(now);
  using Turn = std::tuple<bool, QueuePlace, std::uint64_t, SessionId, RequestNumber>;
  std::vector<Turn> turns;
  sessions.for_each([&](const Session& session) {
    if (session.phase != Phase::kLive) return;
    for (const auto& [number, deferred] : session.deferred) {
      const auto* lock = std::get_if<LockRequest>(&deferred.command);
      const bool placed = lock != nullptr && lock->place.has_value();
      turns.emplace_back(!placed, placed ? *lock->place : QueuePlace{}, deferred.arrival,
                         session.id(), number);
    }
  });
  std::sort(turns.begin(), turns.end());
  for (const auto& [later, place, arrival, id, number] : turns) {
    Session& session = *sessions.find(id);
    const auto at = session.deferred.find(number);
    const Command command = std::move(at->second.command);
    session.deferred.erase(at);
    carry_out(session, number, command, later ? Place::kNew : Place::kOfFormerLife, now, effects);
  }
}

void Coordinator::State::take_back(Session& session, const Reclaim& reclaim, Instant now,
                                   Effects& effects) {
  Answers nobody_waits;
  const auto refuse = [&](const FileKey& file) {
    for (const FileId& id : locks.lost_with({session.locks.volume, file})) {
      locks.lose_file(session.locks, id, now, nobody_waits);
      tokens.lose_file(session.tokens, id, now);
      if (!session.lost(id.key)) note_loss(session, id.key, effects);
    }
  };
  for (const HeldToken& held : reclaim.tokens)
    if (!take_back_token(session, held, now)) refuse(held.file);
  for (const HeldLock& held : reclaim.locks)
    if (!take_back_lock(session, held, now, nobody_waits)) refuse(held.file);
  for (const FileKey& database : reclaim.wal_databases) {
    if (session.lost(database)) continue;
    const bool here = decided_here(session, database, Tokens::LockUse::kWalIndex);
    const bool under_token = tokens.exclusive(session.tokens, {session.locks.volume, database});
    if (!here || !locks.reclaim_wal(session.locks, database, under_token, now, nobody_waits))
      refuse(database);
  }
  HOLDFAST_ASSERT(nobody_waits.empty(), "nobody waits in the grace period");
}

}  // namespace holdfast::lockd
