#include "lockd/core/coordinator.h"

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"
#include "lockd/core/coordinator_state.h"

#include <algorithm>
#include <utility>

namespace holdfast::lockd {
namespace {

using std::chrono::milliseconds;

HelloRefused refused(LockErrc errc, const char* reason, Duration retry_after = {}) {
  return {.errc = errc,
          .retry_after = std::chrono::ceil<milliseconds>(std::max(retry_after, Duration{0})),
          .reason = reason};
}

/// Secrets are compared without telling by the time taken how far they agree.
bool same_secret(const SessionSecret& a, const SessionSecret& b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

/// While its fence command runs, nobody knows for how long.
constexpr Duration kFenceRetryHint = std::chrono::seconds(1);

SessionRecord record_of(const Hello& hello, const Identity& fresh) {
  return {.session = fresh.session,
          .secret = fresh.secret,
          .volume = hello.volume,
          .volume_name = hello.volume_name,
          .node = hello.node,
          .mountpoint = hello.mountpoint,
          .pid = hello.pid,
          .address = fresh.address,
          .write_life = hello.write_life,
          .ended = false,
          .quiet = Quiet::kNo,
          .breaks = {},
          .compare_name = fresh.compare_name,
          .losses = {}};
}

}  // namespace

// ---- Life of the coordinator

Coordinator::State::State(Options given, Recovered recovered, Instant start)
    : options(std::move(given)),
      epoch(recovered.epoch),
      former_epoch(recovered.before),
      grace_until(start),
      sessions(options.salt),
      locks(options.limits, options.fairness_patience, options.salt, probe),
      tokens(options.limits, options.tokens, options.salt, locks, probe) {
  constexpr unsigned kTokensPerEpochBits = 32;  // epochs are at least a second apart
  locks.tokens_from(epoch.value << kTokensPerEpochBits);
  const Duration lease = std::max(recovered.lease_ttl_max, options.lease_ttl);
  if (recovered.empty)
    grace_until = start + lease + options.write_life_default + options.storage_delay;
  for (SessionRecord& record : recovered.sessions) {
    Session& session = sessions.add(std::move(record), options.limits.requests_in_flight_max);
    tokens.open_session(session.tokens);
    session.former = true;
    ++formers;
    if (session.record.quiet != Quiet::kNo) {
      await_quiet(session, start);
      continue;
    }
    // Whatever was lost before the restart may still be waiting for its fence.
    if (!session.record.losses.empty())
      grace_until =
          std::max(grace_until, start + session.record.write_life + options.storage_delay);
    session.lease_until = session.record.ended ? start : start + lease;
    sessions.make_absent(session, session.record.ended ? Phase::kFencing : Phase::kReturning,
                         session.lease_until);
    if (session.record.ended) session.fencing.step = options.fence.size();  // begins when due
  }
  grace = formers > 0 || grace_until > start;
}

void Coordinator::State::await_quiet(Session& session, Instant start) {
  // Long over: whatever is waited for from here on has passed.
  session.lease_until = start - session.record.write_life - options.storage_delay;
  if (session.record.ended) {
    session.fencing.step = options.fence.size();
    sessions.make_absent(session, Phase::kFencing, start);
    return;
  }
  sessions.make_absent(session, Phase::kReturning, start + options.courtesy_max);
  quiet_formers.insert(session.id());
}

Coordinator::Coordinator(Options options, Recovered recovered, Instant started)
    : state_(std::make_unique<State>(std::move(options), std::move(recovered), started)) {}

Coordinator::~Coordinator() {
  Answers nobody_listens;
  // First nobody waits any more, then nobody has anything.
  state_->sessions.for_each([&](Session& session) {
    static_cast<void>(state_->tokens.make_absent(session.tokens, Instant{}));
  });
  state_->sessions.for_each([&](Session& session) {
    state_->tokens.end_session(session.tokens, Instant{});
    state_->locks.end_session(session.locks, Instant{}, nobody_listens);
  });
}

void Coordinator::State::begin(Instant now, Effects& effects) {
  if (may_act(now)) end_leases(now, effects);
}

void Coordinator::State::finish(Instant now, Effects& effects) {
  if (!may_act(now)) return;
  serve_wanted(now, effects);
  if (grace) {
    give_up_quiet(now, effects);
    end_grace(now, effects);
    serve_wanted(now, effects);
  }
  tell(effects);
}

void Coordinator::authority(Instant until) {
  state_->authority_until = until;
}

Effects Coordinator::tick(Instant now) {
  Effects effects;
  if (!state_->may_act(now)) return effects;
  state_->begin(now, effects);
  Answers answers;
  state_->locks.end_patience(now, answers);
  state_->perform(answers, effects);
  state_->repeat_recalls(now, effects);
  state_->finish(now, effects);
  return effects;
}

Instant Coordinator::next_deadline() const {
  Instant next = std::min(state_->locks.next_patience(), state_->tokens.next_due());
  if (const Session* live = state_->sessions.first_live()) next = std::min(next, live->lease_until);
  if (const Session* due = state_->sessions.first_due()) next = std::min(next, due->due);
  if (state_->grace && state_->formers == state_->quiet_formers.size())
    next = std::min(next, state_->formers == 0 ? state_->grace_until : state_->quiet_until());
  return next;
}

// ---- Greeting

Effects Coordinator::hello(const Hello& hello, const Identity& fresh, ConnectionId connection,
                           Instant now) {
  Effects effects;
  state_->begin(now, effects);
  Effects after;
  auto answer = state_->greet(hello, fresh, now, effects, after);
  effects.push_back(Greet{connection, std::move(answer)});
  effects.insert(effects.end(), std::make_move_iterator(after.begin()),
                 std::make_move_iterator(after.end()));
  state_->finish(now, effects);
  return effects;
}

Coordinator::State::HelloAnswer Coordinator::State::greet(const Hello& hello, const Identity& fresh,
                                                          Instant now, Effects& before,
                                                          Effects& after) {
  if (hello.version_min > kProtocolVersion || hello.version_max < kProtocolVersionMin)
    return refused(LockErrc::kVersionMismatch, "no common protocol version");
  // A mount remembers a life of lockd that this store does not: the store was put back to an
  // earlier state, and what was given away since is not known here.
  const bool unknown_life =
      former_epoch && hello.epoch_seen > *former_epoch && hello.epoch_seen < epoch;
  if (hello.epoch_seen > epoch || unknown_life) stale = true;
  if (stale)
    return refused(LockErrc::kStaleLockd,
                   "lockd's store is older than what its mounts remember; it serves nobody");
  if (!may_act(now)) return refused(LockErrc::kStandby, "another lockd is the active one");
  return hello.resume ? resume(hello, fresh, now, before, after) : open(hello, fresh, now, before);
}

HelloRefused Coordinator::State::full(Limit limit, const char* reason) {
  probe.limit_hits.add(limit, {});
  const Refused by = refused_by(limit, options.limits);
  HelloRefused answer = refused(by.errc, reason);
  answer.reason += " (" + to_text(*by.limit) + ")";  // also for mounts that know no limits
  answer.limit = by.limit;
  return answer;
}

Coordinator::State::HelloAnswer Coordinator::State::open(const Hello& hello, const Identity& fresh,
                                                         Instant now, Effects& before) {
  if (sessions.size() >= options.limits.sessions_max)
    return full(Limit::kSessions, "lockd has as many sessions as it takes");
  if (sessions.of_volume(hello.volume) >= options.limits.sessions_per_volume_max)
    return full(Limit::kSessionsOfVolume, "this volume has as many sessions as it may");
  // One name, two volumes: one of the mounts sees another export (a replaced disk, a lost marker),
  // and locks of the two would not meet.
  if (fresh.compare_name && !hello.volume_name.empty() &&
      sessions.other_volume(hello.volume_name, hello.volume))
    return refused(LockErrc::kBadRequest,
                   "another volume is mounted under this name elsewhere: the markers differ");
  HOLDFAST_ASSERT(sessions.find(fresh.session) == nullptr, "the shell gives fresh session ids");
  Session& session = sessions.add(record_of(hello, fresh), options.limits.requests_in_flight_max);
  tokens.open_session(session.tokens);
  sessions.make_live(session, now + options.lease_ttl);
  before.push_back(Record{{PutSession{session.record}}});
  return welcome(session);
}

Coordinator::State::HelloAnswer Coordinator::State::resume(const Hello& hello,
                                                           const Identity& fresh, Instant now,
                                                           Effects& before, Effects& after) {
  Session* session = sessions.find(hello.resume->session);
  if (session == nullptr || session->record.ended)
    return refused(LockErrc::kSessionLost, "no such session any more");
  if (!same_secret(session->record.secret, hello.resume->secret) ||
      session->record.volume != hello.volume)
    return refused(LockErrc::kBadSecret, "this session belongs to somebody else");
  if (session->phase == Phase::kFencing)
    return refused(LockErrc::kStarting, "this mount is being fenced",
                   session->due == Instant::max() ? kFenceRetryHint : session->due - now);
  // After a restart it tells what it holds first; then the order is carried out.
  if (session->record.breaks.given() && session->phase != Phase::kReturning)
    return refused(LockErrc::kStarting, "an administrator takes locks of this mount away",
                   session->lease_until - now);
  if (session->phase == Phase::kReturning) {
    if (!session->reclaim_until) session->reclaim_until = now + options.reclaim_max;
    if (now >= *session->reclaim_until)
      return refused(LockErrc::kStarting, "this mount has not told in time what it holds",
                     session->lease_until - now);
  }
  see_losses(*session, hello.resume->losses_seen, before);
  const bool was_quiet = std::exchange(session->record.quiet, Quiet::kNo) != Quiet::kNo;
  if (was_quiet) quiet_formers.erase(session->id());
  session->ended_in_store = false;  // with what is recorded below: who was fenced was quiet
  const bool moved =
      session->record.address != fresh.address || session->record.write_life != hello.write_life;
  session->record.address = fresh.address;
  session->record.write_life = hello.write_life;
  if ((was_quiet && !mutated(Mutation::kQuietKept)) || moved)
    before.push_back(Record{{PutSession{session->record}}});
  const bool reclaims = session->phase == Phase::kReturning;
  if (reclaims) {
    // From the beginning, also if it had begun before.
    Answers nobody_waits;
    locks.clear_session(session->locks, now, nobody_waits);
    tokens.clear_session(session->tokens, now);
    tell(after);
    session->replies = KeptReplies(options.limits.requests_in_flight_max);
    session->deferred.clear();
    session->lease_until = now + options.lease_ttl;
    sessions.set_due(*session, session->lease_until);
  } else {
    for (const Reply& kept : session->replies.all())
      after.push_back(SendReply{session->id(), kept});
    const bool was_live = session->phase == Phase::kLive;
    make_live(*session, now, after);
    if (was_live) tokens.say_again(session->tokens, now);  // who was not has just been told
    tell(after);
  }
  Welcome answer = welcome(*session);
  answer.reclaim = reclaims;
  if (!mutated(Mutation::kReclaimAfterLoss)) answer.losses = session->record.losses;
  return answer;
}

Welcome Coordinator::State::welcome(const Session& session) const {
  Welcome answer;
  answer.session = session.id();
  answer.secret = session.record.secret;
  answer.epoch = epoch;
  answer.lease_ttl = options.lease_ttl;
  answer.requests_in_flight_max = options.limits.requests_in_flight_max;
  answer.answers_who = true;
  return answer;
}

void Coordinator::State::see_losses(Session& session, LossNumber seen, Effects& effects) {
  if (seen <= session.losses_seen) return;
  session.losses_seen = seen;
  const auto known = std::erase_if(session.record.losses,
                                   [&](const FileLoss& loss) { return loss.number <= seen; });
  if (known > 0) effects.push_back(Record{{DropLosses{session.id(), seen}}});
}

void Coordinator::connected(SessionId session, bool yes) {
  if (Session* known = state_->sessions.find(session)) known->connected = yes;
}

// ---- Keeping and leaving

Effects Coordinator::renew(SessionId id, const Renew& renew, Instant now) {
  Effects effects;
  State& state = *state_;
  state.begin(now, effects);
  Session* session = state.sessions.find(id);
  if (!state.may_act(now) && !mutated(Mutation::kDeposedLeaderRenews)) {
    effects.push_back(Disconnect{id});
    return effects;
  }
  if (session == nullptr) return State::unknown(id, std::move(effects));
  const Instant until = now + state.options.lease_ttl;
  bool renewed = true;
  switch (session->phase) {
    case Phase::kLive:
      renewed = !session->record.breaks.given();
      if (renewed) state.sessions.renew(*session, until);
      if (session->asking_again) state.forget_former(*session);  // all of it is asked
      break;
    case Phase::kCourtesy:
      // An answer to a renewal waits for no record; that it is quiet no more would have to be one.
      renewed = session->record.quiet == Quiet::kNo;
      if (!renewed) {
        effects.push_back(Disconnect{id});
        break;
      }
      state.make_live(*session, now, effects);
      break;
    case Phase::kReturning:
      renewed = session->reclaim_until && now < *session->reclaim_until;
      if (!renewed) break;
      session->lease_until = until;
      state.sessions.set_due(*session, until);
      break;
    case Phase::kFencing:
    case Phase::kFenced:
      renewed = mutated(Mutation::kSessionNotCheckedAtGrant);
      if (!renewed) effects.push_back(Disconnect{id});
      break;
  }
  state.see_losses(*session, renew.losses_seen, effects);
  if (renewed) effects.push_back(Send{id, Renewed{.tick = renew.tick}});
  state.finish(now, effects);
  return effects;
}

Effects Coordinator::goodbye(SessionId id, Instant now) {
  Effects effects;
  state_->begin(now, effects);
  Session* session = state_->sessions.find(id);
  if (session != nullptr && state_->may_act(now)) state_->end(*session, now, effects);
  state_->finish(now, effects);
  return effects;
}

Effects Coordinator::reclaim(SessionId id, const Reclaim& reclaim, Instant now) {
  Effects effects;
  State& state = *state_;
  state.begin(now, effects);
  Session* session = state.sessions.find(id);
  if (session == nullptr) return State::unknown(id, std::move(effects));
  if (!state.may_act(now) || session->phase != Phase::kReturning || !session->reclaim_until) {
    effects.push_back(Disconnect{id});
    return effects;
  }
  if (now < *session->reclaim_until) {
    session->lease_until = now + state.options.lease_ttl;
    state.sessions.set_due(*session, session->lease_until);
  }
  state.take_back(*session, reclaim, now, effects);
  if (reclaim.last) {
    state.keep_breaks_of_held(*session, effects);
    if (reclaim.asks_again) {
      session->asking_again = true;
    } else {
      state.forget_former(*session);
    }
    state.make_live(*session, now, effects);
    effects.push_back(Send{id, Reclaimed{session->record.losses}});
  }
  state.finish(now, effects);
  return effects;
}

const Probe& Coordinator::probe() const {
  return state_->probe;
}

}  // namespace holdfast::lockd
