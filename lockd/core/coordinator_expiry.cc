// Leases that run out, what is given away and when, and what an administrator breaks.
//
// Whatever is lost is recorded first (effects are performed in order), then fenced, then given
// away.

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"
#include "lockd/core/coordinator_state.h"

#include <algorithm>
#include <utility>

namespace holdfast::lockd {

// ---- Leases

void Coordinator::State::end_leases(Instant now, Effects& effects) {
  for (Session* live = sessions.first_live(); live != nullptr && live->lease_until <= now;
       live = sessions.first_live())
    lease_over(*live, now, effects);
  for (Session* next = sessions.first_due(); next != nullptr && next->due <= now;
       next = sessions.first_due())
    due(*next, now, effects);
}

void Coordinator::State::lease_over(Session& session, Instant now, Effects& effects) {
  ++probe.expiries;
  if (session.asking_again) forget_former(session);  // it told all that it holds
  Answers answers;
  for (auto& [number, request] : locks.make_absent(session.locks, now, answers))
    session.deferred.emplace(number, Deferred{++last_arrival, std::move(request)});
  for (auto& [number, request] : tokens.make_absent(session.tokens, now))
    session.deferred.emplace(number, Deferred{++last_arrival, request});
  if (!session.holds_anything() && session.record.losses.empty()) {
    end(session, now, effects);
  } else {
    sessions.make_absent(session, Phase::kCourtesy, courtesy_due(session));
    const SessionId id = session.id();
    const BreakOrder order = std::exchange(session.record.breaks, {});
    if (order.everything) {
      lose_everything(session, now, effects);
    } else {
      for (const FileKey& file : order.files)
        lose(session, {session.locks.volume, file}, now, effects);
    }
    if (const Session* still = order.given() ? sessions.find(id) : nullptr)
      effects.push_back(Record{{PutSession{still->record}}});  // carried out
  }
  perform(answers, effects);
  tell(effects);
}

void Coordinator::State::due(Session& session, Instant now, Effects& effects) {
  switch (session.phase) {
    case Phase::kReturning:
      return lose_everything(session, now, effects);
    case Phase::kCourtesy:
      if (now >= session.lease_until + options.courtesy_max)
        return lose_everything(session, now, effects);
      become_quiet(session, Quiet::kWaited, effects);
      return sessions.set_due(session, courtesy_due(session));
    case Phase::kFenced:
      // Others may get at once what it still holds: that it cannot reclaim it is recorded first.
      if (session.holds_anything()) return lose_everything(session, now, effects);
      return end(session, now, effects);
    case Phase::kFencing:
      // Waited out, or time to try again.
      if (session.fencing.step < options.fence.size()) return fenced(session, now, effects);
      session.fencing.step = 0;
      return next_fence_step(session, now, effects);
    case Phase::kLive:
      break;
  }
  HOLDFAST_ASSERT(false, "a live session has a lease, and is not due");
}

// ---- Quiet

Instant Coordinator::State::courtesy_due(const Session& session) const {
  const Instant end = session.lease_until + options.courtesy_max;
  if (session.record.quiet != Quiet::kNo) return end;
  const bool early = mutated(Mutation::kQuietTooEarly);
  return std::min(end, early ? session.lease_until : fence_wait_until(session));
}

// Nothing depends on the record. Without it a node that is dead for hours would hold up everybody
// after a restart, for as long as if it had died with lockd.
void Coordinator::State::become_quiet(Session& session, Quiet how, Effects& effects) {
  session.record.quiet = how;
  effects.push_back(Disconnect{session.id()});  // a renewal does not revive it any more
  effects.push_back(Record{{PutSession{session.record}}});
}

Instant Coordinator::State::quiet_until() const {
  if (!grace_wanted) return Instant::max();
  return std::max(grace_until, *grace_wanted + options.quiet_return);
}

void Coordinator::State::give_up_quiet(Instant now, Effects& effects) {
  if (formers == 0 || formers != quiet_formers.size() || now < quiet_until()) return;
  for (const SessionId id : std::exchange(quiet_formers, {}))
    lose_everything(*sessions.find(id), now, effects);
}

void Coordinator::State::make_live(Session& session, Instant now, Effects& effects) {
  const Instant until = now + options.lease_ttl;
  if (session.phase == Phase::kLive) return sessions.renew(session, until);
  locks.make_present(session.locks);
  tokens.make_present(session.tokens, now);
  session.reclaim_until.reset();
  session.fencing = {};
  sessions.make_live(session, until);
  tell(effects);
  if (grace) return;
  for (auto& [number, deferred] : std::exchange(session.deferred, {}))
    carry_out(session, number, deferred.command, Place::kNew, now, effects);
}

// ---- Losing

// Each record takes as long as the store's disk, and whoever looks through a tree of the dead
// node's files (PostgreSQL after a crash) would wait for a thousand of them, one after the other.
// One that says that it lost everything is enough for all. Nothing comes of it unless lockd dies
// before the node is back, which then finds its session lost; so that is for those who have lost a
// lot already.
void Coordinator::State::end_in_store(Session& session, Effects& effects) {
  if (session.phase != Phase::kFenced || session.ended_in_store) return;
  if (session.record.losses.size() < options.losses_awaited_max) return;
  session.ended_in_store = true;
  effects.push_back(Record{{EndSessionRecord{session.id()}}});
}

void Coordinator::State::note_loss(Session& session, const FileKey& file, Effects& effects) {
  end_in_store(session, effects);
  const FileLoss loss{LossNumber{session.last_loss().value + 1}, file};
  session.record.losses.push_back(loss);
  if (!mutated(Mutation::kExpiryNotRecorded))
    effects.push_back(Record{{PutLoss{session.id(), loss}}});
}

void Coordinator::State::lose(Session& session, const FileId& wanted, Instant now,
                              Effects& effects) {
  if (session.record.ended) return;  // everything goes
  bool anything = false;
  for (const FileId& file : locks.lost_with(wanted)) {
    if (!has_file(session, file) || !session.losing.insert(file).second) continue;
    note_loss(session, file.key, effects);
    anything = true;
  }
  if (!anything) return;
  if (session.phase == Phase::kCourtesy) return start_fence(session, now, effects);
  if (session.phase != Phase::kFenced) return;
  give_away_lost(session, now, effects);
  sessions.set_due(session, fenced_due(session, now));
}

void Coordinator::State::lose_everything(Session& session, Instant now, Effects& effects) {
  const bool unrecorded = mutated(Mutation::kReclaimAfterMissedGrace) && session.former;
  if (!std::exchange(session.record.ended, true) && !unrecorded)
    effects.push_back(Record{{EndSessionRecord{session.id()}}});
  quiet_formers.erase(session.id());
  if (session.phase == Phase::kFenced) return end(session, now, effects);
  if (session.phase != Phase::kFencing) start_fence(session, now, effects);
}

void Coordinator::State::serve_wanted(Instant now, Effects& effects) {
  const auto take = [this] {
    auto wanted = locks.take_wanted();
    wanted.merge(tokens.take_wanted());
    return wanted;
  };
  for (auto wanted = take(); !wanted.empty(); wanted = take()) {
    for (const Locks::Wanted& one : wanted) {
      Session* session = sessions.find(one.session);
      if (session != nullptr && session->locks.absent) lose(*session, one.file, now, effects);
    }
  }
}

// Who has nothing left is kept for as long as a mount that lives takes to come back, so that it can
// go on with what it waits for. Ended later, it hears that its session is lost, and marks what it
// believes to hold: no more than what was lost here, whether it has heard of it or not.
Instant Coordinator::State::fenced_due(const Session& session, Instant now) const {
  const Instant end = session.lease_until + options.courtesy_max;
  return session.holds_anything() ? end : std::min(end, now + options.idle_max);
}

void Coordinator::State::give_away_lost(Session& session, Instant now, Effects& effects) {
  Answers answers;
  for (const FileId& file : std::exchange(session.losing, {})) {
    std::erase_if(session.deferred, [&](const auto& entry) {
      const auto* lock = std::get_if<LockRequest>(&entry.second.command);
      const auto* token = std::get_if<TokenRequest>(&entry.second.command);
      const bool about = (lock != nullptr && lock->file == file.key) ||
                         (token != nullptr && token->file == file.key);
      if (!about) return false;
      reply(session, entry.first, Refused{LockErrc::kLockLost}, effects);
      return true;
    });
    locks.lose_file(session.locks, file, now, answers);
    tokens.lose_file(session.tokens, file, now);
  }
  perform(answers, effects);
  tell(effects);
}

void Coordinator::State::end(Session& session, Instant now, Effects& effects) {
  const SessionId id = session.id();
  const bool unrecorded = mutated(Mutation::kReclaimAfterMissedGrace) && session.former;
  effects.push_back(EndSession{id});
  Answers answers;
  locks.end_session(session.locks, now, answers);
  tokens.end_session(session.tokens, now);
  forget_former(session);
  sessions.erase(session);
  perform(answers, effects);
  tell(effects);
  // Last, since nothing depends on it: what must not be forgotten was recorded before.
  if (!unrecorded) effects.push_back(Record{{DropSession{id}}});
}

void Coordinator::State::forget_former(Session& session) {
  session.asking_again = false;
  quiet_formers.erase(session.id());
  if (std::exchange(session.former, false)) --formers;
}

// ---- Fencing

void Coordinator::State::start_fence(Session& session, Instant now, Effects& effects) {
  sessions.make_absent(session, Phase::kFencing, Instant::max());
  if (!mutated(Mutation::kSessionNotCheckedAtGrant)) effects.push_back(Disconnect{session.id()});
  session.fencing = {};
  next_fence_step(session, now, effects);
}

Instant Coordinator::State::fence_wait_until(const Session& session) const {
  if (mutated(Mutation::kNoLockDelay)) return session.lease_until;
  return session.lease_until + session.record.write_life + options.storage_delay;
}

void Coordinator::State::next_fence_step(Session& session, Instant now, Effects& effects) {
  session.fencing.attempt = 0;
  // In a former life; somebody may have let its node in again since.
  if (session.record.quiet == Quiet::kFenced) return fenced(session, now, effects);
  if (session.fencing.step >= options.fence.size())
    return sessions.set_due(session, now + options.fence_retry);
  if (options.fence[session.fencing.step] == FenceStep::kCommand) {
    session.fencing.attempt = ++last_attempt;
    sessions.set_due(session, Instant::max());
    effects.push_back(RunFence{session.id(), session.fencing.attempt, session.record});
    return;
  }
  const Instant until = fence_wait_until(session);
  if (until <= now) return fenced(session, now, effects);
  sessions.set_due(session, until);
}

Effects Coordinator::fence_done(SessionId id, std::uint64_t attempt, bool succeeded, Instant now) {
  Effects effects;
  State& state = *state_;
  state.begin(now, effects);
  Session* session = state.sessions.find(id);
  if (session == nullptr || session->phase != Phase::kFencing ||
      session->fencing.attempt != attempt)
    return effects;
  if (!state.may_act(now)) {
    // Authority may come back: then what succeeded counts, and what failed is tried again.
    session->fencing.attempt = 0;
    if (!succeeded) session->fencing.step = state.options.fence.size();
    state.sessions.set_due(*session, succeeded ? now : now + state.options.fence_retry);
  } else if (succeeded) {
    state.fenced(*session, now, effects);
  } else {
    ++session->fencing.step;
    state.next_fence_step(*session, now, effects);
  }
  state.finish(now, effects);
  return effects;
}

void Coordinator::State::fenced(Session& session, Instant now, Effects& effects) {
  if (session.record.ended) return end(session, now, effects);
  session.fencing = {};
  sessions.make_absent(session, Phase::kFenced, Instant::max());
  give_away_lost(session, now, effects);
  sessions.set_due(session, fenced_due(session, now));
  become_quiet(session, Quiet::kFenced, effects);
}

// ---- Breaking

void Coordinator::State::keep_breaks_of_held(Session& session, Effects& effects) {
  BreakOrder kept = session.record.breaks;
  kept.everything = kept.everything && session.holds_anything();
  std::erase_if(kept.files, [&](const FileKey& file) {
    return !has_file(session, {session.locks.volume, file});
  });
  if (kept == session.record.breaks) return;
  session.record.breaks = std::move(kept);
  effects.push_back(Record{{PutSession{session.record}}});
}

namespace {
BreakOutcome not_broken(const char* why) {
  BreakOutcome outcome;
  outcome.refused = why;
  return outcome;
}
}  // namespace

BreakOutcome Coordinator::break_session(SessionId id, Instant now) {
  State& state = *state_;
  BreakOutcome outcome;
  state.begin(now, outcome.effects);
  Session* session = state.sessions.find(id);
  if (session == nullptr) return not_broken("no such session");
  if (!state.may_act(now)) return not_broken("this lockd is not the active one");
  if (session->phase == Phase::kReturning)
    return not_broken("lockd waits for this mount to return");
  outcome.at_most = std::max(state.fence_wait_until(*session) - now, Duration{0});
  if (session->phase == Phase::kLive) {
    session->record.breaks.everything = true;
    outcome.effects.push_back(Record{{PutSession{session->record}}});
  } else {
    state.lose_everything(*session, now, outcome.effects);
  }
  state.finish(now, outcome.effects);
  return outcome;
}

BreakOutcome Coordinator::break_file(SessionId id, const FileKey& key, Instant now) {
  State& state = *state_;
  BreakOutcome outcome;
  state.begin(now, outcome.effects);
  Session* session = state.sessions.find(id);
  if (session == nullptr) return not_broken("no such session");
  if (!state.may_act(now)) return not_broken("this lockd is not the active one");
  if (session->phase == Phase::kReturning)
    return not_broken("lockd waits for this mount to return");
  const FileId file{session->locks.volume, key};
  if (!state.has_file(*session, file)) return not_broken("the session holds nothing on this file");
  outcome.at_most = std::max(state.fence_wait_until(*session) - now, Duration{0});
  if (session->phase == Phase::kLive) {
    session->record.breaks.files.insert(key);
    outcome.effects.push_back(Record{{PutSession{session->record}}});
  } else {
    state.lose(*session, file, now, outcome.effects);
  }
  state.finish(now, outcome.effects);
  return outcome;
}

}  // namespace holdfast::lockd
