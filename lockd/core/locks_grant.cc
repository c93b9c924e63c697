// How a lock is granted, queued or refused, and what follows from bytes becoming free.

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"
#include "lockd/core/locks.h"
#include "lockd/core/locks_ask.h"
#include "lockd/core/wait_graph.h"
#include "lockd/core/wait_queue.h"

#include <algorithm>

namespace holdfast::lockd {

std::optional<LockErrc> Locks::forbidden(const SessionLocks& session, const FileId& file,
                                         LockSpace space, const ByteRange& range,
                                         const std::optional<FileKey>& database) const {
  if (space == LockSpace::kFlock && range != ByteRange::whole_file()) return LockErrc::kBadRequest;
  if (space == LockSpace::kRange && range.overlaps(kDatabaseLockBytes) &&
      wal_.elsewhere(file, session))
    return LockErrc::kWalOwnedElsewhere;
  if (!database) return std::nullopt;
  const FileId owned{session.volume, *database};
  if (owned == file) return LockErrc::kBadRequest;
  if (wal_.elsewhere(owned, session)) return LockErrc::kWalOwnedElsewhere;
  const FileId* tied = wal_.tied_to(file);
  if (tied != nullptr && *tied != owned) return LockErrc::kBadRequest;
  return std::nullopt;
}

std::optional<Limit> Locks::full(const SessionLocks& session, const FileSpace& space,
                                 std::uint32_t growth) const {
  if (space.held_count + growth > limits_.ranges_per_file_max) return Limit::kRangesOfFile;
  if (growth > 0 && session.range_count + growth > limits_.ranges_per_session_max)
    return Limit::kRangesOfSession;
  return std::nullopt;
}

std::optional<Outcome> Locks::acquire(const Ask& ask, RequestNumber number, Wait wait) {
  FileSpace& space = ask.space;
  const Holding* holding = find(ask.agent, space);
  const bool held_off = RangeTable::conflict(space, ask.range, ask.mode, holding) != nullptr;
  // Who holds something in the file already may overtake: it converts, or takes a further range,
  // and waiting behind somebody who waits for it would be a deadlock of our making.
  const bool out_of_turn =
      holding == nullptr && wait_queue::conflict(space, ask.range, ask.mode, &ask.agent) != nullptr;
  if (!held_off && !out_of_turn) {
    if (const auto limit = full(ask.session, space, RangeTable::growth_of_set(holding, ask.range)))
      return refuse(*limit, ask.session);
    return grant(ask);
  }
  want(ask);
  if (wait == Wait::kNo) {
    if (space.kind == LockSpace::kFlock) drop_flock(ask.agent, space);
    return refuse(LockErrc::kWouldBlock);
  }
  return wait_for(ask, number);
}

std::optional<Outcome> Locks::wait_for(const Ask& ask, RequestNumber number) {
  FileSpace& space = ask.space;
  if (space.waiter_count >= limits_.waiters_per_file_max)
    return refuse(Limit::kWaitersOfFile, ask.session);
  if (ask.session.waiters.size() >= value_of(Limit::kWaitersOfSession, limits_))
    return refuse(Limit::kWaitersOfSession, ask.session);
  const bool converts = find(ask.agent, space) != nullptr;

  auto owned = std::make_unique<Waiter>();
  Waiter& waiter = *owned;
  waiter.range = ask.range;
  waiter.mode = ask.mode;
  waiter.kind = ask.kind;
  waiter.pid = ask.pid;
  waiter.agent = &ask.agent;
  waiter.space = &space;
  waiter.number = number;
  waiter.handle = ask.handle;
  waiter.wal_database = ask.wal_database;
  waiter.since = now_;
  waiter.seq = ++last_seq_;
  waiter.priority = static_cast<std::uint32_t>(spread(++seed_));
  // flock gives its old lock up before it waits, so it queues like anybody else.
  waiter.may_overtake = converts && space.kind == LockSpace::kRange;

  // Nobody waits for this owner: then no cycle leads through it, now.
  const bool may_close_a_cycle = wait_graph::waited_for(ask.agent);
  if (may_close_a_cycle && waiter.kind == OwnerKind::kGivesWay && !mutated(Mutation::kTriesWaitOn))
    return refuse(LockErrc::kWouldBlock);
  if (may_close_a_cycle && wait_graph::posix_cycle(waiter) != nullptr)
    return refuse(LockErrc::kDeadlock);

  if (space.kind == LockSpace::kFlock) drop_flock(ask.agent, space);
  wait_queue::enter(waiter);
  ask.agent.waiters.emplace(waiter.seq, &waiter);
  if (waiter.kind == OwnerKind::kGivesWay) ++tries_waiting_;
  ++ask.session.tags[{waiter.handle, &ask.agent}];
  if (waiter.wal_database) wal_waiters_.emplace(waiter.seq, &waiter);
  if (waiter.behind != nullptr) {
    waiter.patience_until = now_ + patience_;
    impatient_.emplace(std::pair{waiter.patience_until, waiter.seq}, &waiter);
  }
  ask.session.waiters.emplace(number, std::move(owned));
  ++probe_.waits;
  let_give_way(waiter);
  if (may_close_a_cycle) break_fairness_cycles(waiter);
  return std::nullopt;
}

Granted Locks::grant(const Ask& ask) {
  HOLDFAST_ASSERT(
      !ask.session.ended && (!ask.session.absent || mutated(Mutation::kWaiterOutlivesSession) ||
                             mutated(Mutation::kSessionNotCheckedAtGrant)),
      "a grant finds its session alive");
  const FencingToken token{++last_token_};
  const auto [at, fresh] = ask.agent.holdings.try_emplace(&ask.space);
  Holding& holding = at->second;
  if (fresh) {
    holding.agent = &ask.agent;
    holding.space = &ask.space;
    holding.seq = ++last_seq_;
  }
  table_.set(holding,
             {.range = ask.range,
              .mode = ask.mode,
              .handle = ask.handle,
              .pid = ask.pid,
              .token = token,
              .now = now_},
             freed_);
  wake(ask.space);
  ++probe_.grants;
  if (ask.wal_database) {
    const FileId database{ask.session.volume, *ask.wal_database};
    own_wal(ask.session, database);
    wal_.tie(ask.space.file->id, database);
  }
  if (!ask.agent.waiters.empty()) break_cycles_after_grant(ask.agent);
  return Granted{token};
}

// flock(2): "the existing lock is first removed, and then a new lock is established. Between these
// two steps, a pending lock request by another process may be granted, with the result that the
// conversion either blocks, or fails if LOCK_NB was specified, with the original lock lost."
// fs/locks.c, flock_lock_inode does just this.
void Locks::drop_flock(Agent& agent, FileSpace& space) {
  Holding* holding = find(agent, space);
  if (holding == nullptr) return;
  table_.clear_all(*holding, freed_);
  drop_empty(*holding);
  wake(space);
  end_idle_wal(*agent.session, space.file->id);
}

void Locks::drop_empty(Holding& holding) {
  Agent& agent = *holding.agent;
  check_idle(agent);
  if (holding.count == 0) agent.holdings.erase(agent.holdings.find(holding.space));
}

// ---- Waiters

void Locks::withdraw(Waiter& waiter) {
  Agent& agent = *waiter.agent;
  SessionLocks& session = *agent.session;
  probe_.lock_waits.add(now_ - waiter.since);
  std::vector<Waiter*> to_the_front;
  wait_queue::leave(waiter, to_the_front);
  for (Waiter* next : to_the_front)
    look_at(*next);
  if (waiter.settling) settling_.erase(waiter.seq);
  agent.waiters.erase(waiter.seq);
  if (waiter.kind == OwnerKind::kGivesWay) --tries_waiting_;
  impatient_.erase({waiter.patience_until, waiter.seq});
  if (waiter.wal_database) wal_waiters_.erase(waiter.seq);
  const auto tag = session.tags.find({waiter.handle, &agent});
  if (--tag->second == 0) session.tags.erase(tag);
  check_idle(agent);
  check_idle(*waiter.space->file);
  session.waiters.erase(RequestNumber(waiter.number));
}

void Locks::answer(Waiter& waiter, Outcome outcome) {
  answers_->push_back({waiter.agent->session->id, waiter.number, outcome});
  withdraw(waiter);
}

void Locks::look_at(Waiter& waiter) {
  if (waiter.settling) return;
  waiter.settling = true;
  settling_.emplace(waiter.seq, &waiter);
}

/// The bytes in freed_ became free, or shared, in `space`.
void Locks::wake(const FileSpace& space) {
  if (space.waiter_count > 0) {
    std::vector<Waiter*> found;
    for (const ByteRange& range : freed_)
      wait_queue::front_on(space, range, found);
    for (Waiter* waiter : found)
      look_at(*waiter);
  }
  freed_.clear();
}

/// Grants whatever can be granted, in order of arrival. Each grant may bring further ones:
/// followers come to the front, and a waiting downgrade frees bytes.
void Locks::settle() {
  while (!settling_.empty()) {
    Waiter& waiter = *settling_.begin()->second;
    settling_.erase(settling_.begin());
    waiter.settling = false;
    if (waiter.behind != nullptr) continue;
    FileSpace& space = *waiter.space;
    const Holding* holding = find(*waiter.agent, space);
    const Ask ask{.session = *waiter.agent->session,
                  .agent = *waiter.agent,
                  .space = space,
                  .range = waiter.range,
                  .mode = waiter.mode,
                  .kind = waiter.kind,
                  .handle = waiter.handle,
                  .pid = waiter.pid,
                  .wal_database = waiter.wal_database};
    if (RangeTable::conflict(space, waiter.range, waiter.mode, holding) != nullptr) {
      want(ask);
      continue;
    }
    const auto errc =
        forbidden(ask.session, space.file->id, space.kind, ask.range, ask.wal_database);
    if (errc) {
      answer(waiter, refuse(*errc));
    } else if (const auto limit =
                   full(ask.session, space, RangeTable::growth_of_set(holding, ask.range))) {
      answer(waiter, refuse(*limit, ask.session));
    } else {
      const RequestNumber number = waiter.number;
      withdraw(waiter);
      const std::size_t place = answers_->size();
      const Granted granted = grant(ask);
      // Before whatever the grant itself decided about others.
      answers_->insert(answers_->begin() + static_cast<std::ptrdiff_t>(place),
                       {ask.session.id, number, granted});
    }
  }
}

// ---- Deadlocks

void Locks::overtake(Waiter& waiter) {
  ++probe_.overtakes;
  wait_queue::let_overtake(waiter);
  look_at(waiter);
}

void Locks::break_fairness_cycles(Waiter& waiter) {
  while (Waiter* blocked = wait_graph::fairness_cycle(waiter))
    overtake(*blocked);
}

/// A grant makes others wait for its owner. If that owner waits elsewhere too (another thread of
/// the process), this can close a cycle.
void Locks::break_cycles_after_grant(Agent& agent) {
  if (!wait_graph::waited_for(agent)) return;
  std::vector<Waiter*> own;
  for (const auto& [seq, waiter] : agent.waiters)
    own.push_back(waiter);
  for (Waiter* waiter : own) {
    // Not the owner's own wait is refused: it was not what closed the cycle. Linux would find it
    // when the other waiter wakes up and looks again.
    while (Waiter* closing = wait_graph::posix_cycle(*waiter))
      answer(*closing, refuse(LockErrc::kDeadlock));
    break_fairness_cycles(*waiter);
  }
}

/// Who holds what `waiter` waits for, and is to give way, waits no longer: SQLite gives its shared
/// lock up then, and a writer that waits for its readers can commit.
void Locks::let_give_way(Waiter& waiter) {
  if (tries_waiting_ == 0 || mutated(Mutation::kTriesWaitOn)) return;
  std::vector<Waiter*> refused;
  auto holder = [&](const HeldRange& held) {
    for (const auto& [seq, other] : held.holding->agent->waiters)
      if (other->kind == OwnerKind::kGivesWay) refused.push_back(other);
    return true;
  };
  waiter.space->held.each_conflict(waiter.range, waiter.mode, find(*waiter.agent, *waiter.space),
                                   holder);
  std::sort(refused.begin(), refused.end(),
            [](const Waiter* a, const Waiter* b) { return a->seq < b->seq; });
  refused.erase(std::unique(refused.begin(), refused.end()), refused.end());
  for (Waiter* other : refused)
    answer(*other, refuse(LockErrc::kWouldBlock));
}

// ---- WAL

void Locks::own_wal(SessionLocks& session, const FileId& database) {
  if (!wal_.claim(database, session, now_)) return;
  // Those of other sessions that wait already would wait for what they will not get.
  std::vector<Waiter*> refused;
  if (File* file = find(database)) {
    auto others = [&](Waiter& waiter) {
      if (waiter.agent->session != &session) refused.push_back(&waiter);
      return true;
    };
    each_conflict(file->range.waiters.root(), kDatabaseLockBytes, LockMode::kExclusive, nullptr,
                  others);
  }
  for (const auto& [seq, waiter] : wal_waiters_) {
    const FileId wanted{waiter->agent->session->volume, *waiter->wal_database};
    const bool listed = waiter->space->file->id == database &&
                        waiter->space->kind == LockSpace::kRange &&
                        waiter->range.overlaps(kDatabaseLockBytes);
    if (wanted == database && waiter->agent->session != &session && !listed)
      refused.push_back(waiter);
  }
  for (Waiter* waiter : refused)
    answer(*waiter, refuse(LockErrc::kWalOwnedElsewhere));
}

/// `session` freed something in `file`: ownership ends with its last lock on the database's lock
/// bytes and on the files tied to it.
void Locks::end_idle_wal(SessionLocks& session, const FileId& file) {
  if (session.wal_databases.empty()) return;
  const FileId* tied = wal_.tied_to(file);
  const FileId database = tied == nullptr ? file : *tied;
  const WalOwners::Ownership* ownership = wal_.find(database);
  if (ownership == nullptr || ownership->session != &session || ownership->under_token) return;
  if (const File* held = find(database);
      held != nullptr && holds(session, held->range, kDatabaseLockBytes))
    return;
  for (const FileId& id : ownership->tied) {
    const File* held = find(id);
    if (held != nullptr && (holds(session, held->range, ByteRange::whole_file()) ||
                            holds(session, held->flock, ByteRange::whole_file())))
      return;
  }
  wal_.end(database);
}

}  // namespace holdfast::lockd
