#include "lockd/core/locks.h"

#include "holdfast/base/assert.h"
#include "lockd/core/locks_ask.h"
#include "lockd/core/wait_queue.h"

#include <algorithm>

namespace holdfast::lockd {

// ---- Requests

std::optional<Outcome> Locks::lock(SessionLocks& session, RequestNumber number,
                                   const LockRequest& request, Instant now, Answers& answers) {
  begin(now, answers);
  const FileId id{session.volume, request.file};
  if (const auto errc =
          forbidden(session, id, request.space, request.range, request.wal_database)) {
    if (*errc == LockErrc::kWalOwnedElsewhere) {
      want_wal(session, id);
      if (request.wal_database) want_wal(session, {session.volume, *request.wal_database});
    }
    return refuse(*errc);
  }
  const auto found = find_or_open(id);
  if (const auto* limit = std::get_if<Limit>(&found)) return refuse(*limit, session);
  File* const file = std::get<File*>(found);
  Agent& agent = find_or_make(session, {request.space, request.owner});
  check_idle(agent);
  check_idle(*file);
  const Ask ask{
      .session = session,
      .agent = agent,
      .space = file->space(request.space),
      .range = request.range,
      .mode = request.mode,
      // flock takes no part in deadlock detection (flock(2); fs/locks.c checks POSIX only).
      .kind = request.space == LockSpace::kRange ? request.kind : OwnerKind::kUnchecked,
      .handle = request.handle,
      .pid = request.pid,
      .wal_database = request.wal_database};
  auto outcome = acquire(ask, number, request.wait);
  finish();
  return outcome;
}

Outcome Locks::unlock(SessionLocks& session, const UnlockRequest& request, Instant now,
                      Answers& answers) {
  begin(now, answers);
  if (request.space == LockSpace::kFlock && request.range != ByteRange::whole_file())
    return refuse(LockErrc::kBadRequest);
  File* file = find({session.volume, request.file});
  Agent* agent = find(session, {request.space, request.owner});
  if (file == nullptr || agent == nullptr) return Done{};
  FileSpace& space = file->space(request.space);
  Holding* holding = find(*agent, space);
  if (holding == nullptr) return Done{};
  const std::uint32_t growth = RangeTable::growth_of_clear(*holding, request.range);
  // Splitting needs room, as in Linux, whose F_UNLCK can fail with ENOLCK.
  if (growth > 0)
    if (const auto limit = full(session, space, growth)) return refuse(*limit, session);
  table_.clear(*holding, request.range, freed_);
  drop_empty(*holding);
  wake(space);
  end_idle_wal(session, file->id);
  check_idle(*file);
  finish();
  return Done{};
}

Outcome Locks::query(const SessionLocks& session, const QueryRequest& request) const {
  const FileId id{session.volume, request.file};
  if (File* file = find(id)) {
    FileSpace& space = file->space(request.space);
    Agent* agent = find(session, {request.space, request.owner});
    const Holding* self = agent == nullptr ? nullptr : find(*agent, space);
    if (const HeldRange* held =
            RangeTable::first_conflict(space, request.range, request.mode, self))
      return QueryResult{Conflict{.mode = held->mode,
                                  .range = RangeTable::as_one_lock(*held),
                                  .pid = held->pid,
                                  .same_session = held->holding->agent->session == &session}};
  }
  // What a lock request would be refused for is a conflict too.
  if (request.space == LockSpace::kRange && request.range.overlaps(kDatabaseLockBytes) &&
      wal_.elsewhere(id, session))
    return QueryResult{Conflict{.mode = LockMode::kExclusive,
                                .range = kDatabaseLockBytes,
                                .pid = 0,
                                .same_session = false}};
  return QueryResult{};
}

Outcome Locks::release_owner(SessionLocks& session, const ReleaseOwnerRequest& request, Instant now,
                             Answers& answers) {
  begin(now, answers);
  File* file = find({session.volume, request.file});
  Agent* agent = find(session, {LockSpace::kRange, request.owner});
  Holding* holding = file == nullptr || agent == nullptr ? nullptr : find(*agent, file->range);
  if (holding == nullptr) return Done{};
  table_.clear_all(*holding, freed_);
  drop_empty(*holding);
  wake(file->range);
  end_idle_wal(session, file->id);
  check_idle(*file);
  finish();
  return Done{};
}

Outcome Locks::release_handle(SessionLocks& session, const ReleaseHandleRequest& request,
                              Instant now, Answers& answers) {
  begin(now, answers);
  File* file = find({session.volume, request.file});
  if (file == nullptr) return Done{};
  std::vector<Agent*> agents;
  for (auto at = session.tags.lower_bound({request.handle, nullptr});
       at != session.tags.end() && at->first.first == request.handle; ++at)
    agents.push_back(at->first.second);
  // The tags are ordered by address; the answers must not be.
  std::sort(agents.begin(), agents.end(),
            [](const Agent* a, const Agent* b) { return a->key < b->key; });
  for (Agent* agent : agents) {
    std::vector<Waiter*> waiters;
    for (const auto& [seq, waiter] : agent->waiters)
      if (waiter->handle == request.handle && waiter->space->file == file)
        waiters.push_back(waiter);
    for (Waiter* waiter : waiters) {
      ++probe_.cancels;
      answer(*waiter, Refused{LockErrc::kInterrupted});
    }
    FileSpace& space = file->space(agent->key.space);
    if (Holding* holding = find(*agent, space)) {
      table_.clear_handle(*holding, request.handle, freed_);
      drop_empty(*holding);
      wake(space);
    }
  }
  end_idle_wal(session, file->id);
  check_idle(*file);
  finish();
  return Done{};
}

Outcome Locks::cancel(SessionLocks& session, const CancelRequest& request, Instant now,
                      Answers& answers) {
  begin(now, answers);
  if (const auto at = session.waiters.find(request.target); at != session.waiters.end()) {
    ++probe_.cancels;
    answer(*at->second, Refused{LockErrc::kInterrupted});
    finish();
  }
  return Done{};
}

void Locks::cancel_early(SessionLocks& session, const LockRequest& request, Instant now,
                         Answers& answers) {
  if (request.space != LockSpace::kFlock) return;
  begin(now, answers);
  File* file = find({session.volume, request.file});
  Agent* agent = find(session, {request.space, request.owner});
  Holding* holding = file == nullptr || agent == nullptr ? nullptr : find(*agent, file->flock);
  if (holding == nullptr) return;
  const HeldRange* held = holding->ranges.first([](const HeldRange&) { return true; });
  if (held->mode == request.mode) return;  // no conversion
  drop_flock(*agent, file->flock);
  check_idle(*file);
  finish();
}

Outcome Locks::claim_wal(SessionLocks& session, const ClaimWalRequest& request, bool under_token,
                         Instant now, Answers& answers) {
  begin(now, answers);
  const FileId database{session.volume, request.database};
  if (wal_.elsewhere(database, session)) {
    want_wal(session, database);
    return refuse(LockErrc::kWalOwnedElsewhere);
  }
  // Ownership lasts as long as the session holds a lock there, so without one it could not begin.
  // SQLite holds SHARED on the database whenever it uses the wal-index.
  const File* file = find(database);
  if (wal_.find(database) == nullptr && !under_token &&
      (file == nullptr || !holds(session, file->range, kDatabaseLockBytes)))
    return refuse(LockErrc::kBadRequest);
  own_wal(session, database);
  if (under_token) wal_.set_under_token(database, true);
  finish();
  return Done{};
}

void Locks::end_session(SessionLocks& session, Instant now, Answers& answers) {
  session.ended = true;
  make_present(session);
  clear_session(session, now, answers);
}

void Locks::clear_session(SessionLocks& session, Instant now, Answers& answers) {
  begin(now, answers);
  // Waiters first: nothing that is freed below may be granted to them.
  while (!session.waiters.empty())
    withdraw(*session.waiters.begin()->second);
  while (!session.wal_databases.empty())
    wal_.end(*session.wal_databases.begin());
  for (const auto& [key, agent] : session.agents) {
    check_idle(*agent);
    while (!agent->holdings.empty()) {
      Holding& holding = agent->holdings.begin()->second;
      FileSpace& space = *holding.space;
      table_.clear_all(holding, freed_);
      drop_empty(holding);
      wake(space);
      check_idle(*space.file);
    }
  }
  finish();
  HOLDFAST_ASSERT(session.agents.empty() && session.tags.empty() && session.range_count == 0,
                  "nothing of a cleared session remains");
}

void Locks::end_patience(Instant now, Answers& answers) {
  begin(now, answers);
  while (!impatient_.empty() && impatient_.begin()->first.first <= now) {
    Waiter& waiter = *impatient_.begin()->second;
    impatient_.erase(impatient_.begin());
    if (waiter.behind == nullptr) continue;
    if (RangeTable::conflict(*waiter.space, waiter.range, waiter.mode,
                             find(*waiter.agent, *waiter.space)) == nullptr) {
      overtake(waiter);
      settle();
    } else {
      waiter.patience_until = now + patience_;
      impatient_.emplace(std::pair{waiter.patience_until, waiter.seq}, &waiter);
    }
  }
  finish();
}

Instant Locks::next_patience() const {
  return impatient_.empty() ? Instant::max() : impatient_.begin()->first.first;
}

// ---- Around each request

void Locks::begin(Instant now, Answers& answers) {
  now_ = now;
  answers_ = &answers;
}

void Locks::finish() {
  settle();
  for (Agent* agent : idle_agents_) {
    agent->idle_listed = false;
    if (agent->holdings.empty() && agent->waiters.empty())
      agent->session->agents.erase(AgentKey(agent->key));
  }
  idle_agents_.clear();
  for (File* file : idle_files_) {
    file->idle_listed = false;
    if (file->idle()) close(FileId(file->id));
  }
  idle_files_.clear();
}

void Locks::check_idle(Agent& agent) {
  if (agent.idle_listed) return;
  agent.idle_listed = true;
  idle_agents_.push_back(&agent);
}

void Locks::check_idle(File& file) {
  if (file.idle_listed) return;
  file.idle_listed = true;
  idle_files_.push_back(&file);
}

Outcome Locks::refuse(LockErrc errc) {
  switch (errc) {
    case LockErrc::kWouldBlock:
    case LockErrc::kWalOwnedElsewhere:
      ++probe_.denials;
      break;
    case LockErrc::kDeadlock:
      ++probe_.deadlocks;
      break;
    case LockErrc::kTooManyRanges:
    case LockErrc::kTooManyWaiters:
    case LockErrc::kTooManyFiles:
    case LockErrc::kInterrupted:
    case LockErrc::kTooManyRequests:
    case LockErrc::kTooManySessions:
    case LockErrc::kSessionLost:
    case LockErrc::kBadSecret:
    case LockErrc::kBadRequest:
    case LockErrc::kVersionMismatch:
    case LockErrc::kStarting:
    case LockErrc::kLockLost:
    case LockErrc::kStandby:
    case LockErrc::kStaleLockd:
    case LockErrc::kAccessDenied:
      break;
  }
  return Refused{errc};
}

Refused Locks::refuse(Limit limit, const SessionLocks& session) {
  probe_.limit_hits.add(limit, session.id);
  return refused_by(limit, limits_);
}

// ---- Finding

File* Locks::find(const FileId& id) const {
  const auto at = files_.find(id);
  return at == files_.end() ? nullptr : at->second.get();
}

std::optional<Limit> Locks::full(const VolumeId& volume) const {
  if (files_.size() >= limits_.files_max) return Limit::kFiles;
  const auto at = files_of_volume_.find(volume);
  const std::size_t has = at == files_of_volume_.end() ? 0 : at->second;
  return has >= limits_.files_per_volume_max ? std::optional(Limit::kFilesOfVolume) : std::nullopt;
}

std::variant<File*, Limit> Locks::find_or_open(const FileId& id) {
  if (File* file = find(id)) return file;
  if (const auto limit = full(id.volume)) return *limit;
  ++files_of_volume_[id.volume];
  return files_.emplace(id, std::make_unique<File>(id)).first->second.get();
}

void Locks::close(const FileId& id) {
  const auto at = files_of_volume_.find(id.volume);
  if (--at->second == 0) files_of_volume_.erase(at);
  files_.erase(id);
}

Agent* Locks::find(const SessionLocks& session, AgentKey key) {
  const auto at = session.agents.find(key);
  return at == session.agents.end() ? nullptr : at->second.get();
}

Agent& Locks::find_or_make(SessionLocks& session, AgentKey key) {
  auto& agent = session.agents[key];
  if (agent == nullptr) {
    agent = std::make_unique<Agent>();
    agent->session = &session;
    agent->key = key;
  }
  return *agent;
}

Holding* Locks::find(Agent& agent, FileSpace& space) {
  const auto at = agent.holdings.find(&space);
  return at == agent.holdings.end() ? nullptr : &at->second;
}

bool Locks::holds(const SessionLocks& session, const FileSpace& space, const ByteRange& range) {
  bool found = false;
  auto its_own = [&](const HeldRange& held) {
    found = held.holding->agent->session == &session;
    return !found;
  };
  // Against nobody's exclusive request everything overlapping is a conflict.
  space.held.each_conflict(range, LockMode::kExclusive, nullptr, its_own);
  return found;
}

}  // namespace holdfast::lockd
