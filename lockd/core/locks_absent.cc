// What becomes of the locks of a session whose lease is over, and how a restarted lockd learns of
// locks again.

#include "holdfast/base/assert.h"
#include "holdfast/base/mutation.h"
#include "lockd/core/locks.h"
#include "lockd/core/locks_ask.h"

#include <algorithm>

namespace holdfast::lockd {
namespace {

LockRequest request_of(const Waiter& waiter) {
  LockRequest request;
  request.file = waiter.space->file->id.key;
  request.space = waiter.space->kind;
  request.owner = waiter.agent->key.owner;
  request.handle = waiter.handle;
  request.kind = waiter.kind;
  request.mode = waiter.mode;
  request.range = waiter.range;
  request.wait = Wait::kYes;
  request.pid = waiter.pid;
  request.wal_database = waiter.wal_database;
  return request;
}

}  // namespace

std::vector<std::pair<RequestNumber, LockRequest>> Locks::make_absent(SessionLocks& session,
                                                                      Instant now,
                                                                      Answers& answers) {
  HOLDFAST_ASSERT(!session.absent, "a session becomes absent once");
  begin(now, answers);
  std::vector<const Waiter*> waiters;
  for (const auto& [number, waiter] : session.waiters)
    waiters.push_back(waiter.get());
  std::sort(waiters.begin(), waiters.end(),
            [](const Waiter* a, const Waiter* b) { return a->seq < b->seq; });
  std::vector<std::pair<RequestNumber, LockRequest>> requests;
  for (const Waiter* waiter : waiters)
    requests.emplace_back(waiter->number, request_of(*waiter));
  while (!session.waiters.empty() && !mutated(Mutation::kWaiterOutlivesSession))
    withdraw(*session.waiters.begin()->second);
  session.absent = true;
  ++absent_sessions_;
  // Those who wait for it already want what it has.
  for (const auto& [key, agent] : session.agents) {
    for (const auto& [space, holding] : agent->holdings) {
      if (space->waiter_count == 0) continue;
      space->waiters.for_each([this](Waiter& waiter) { look_at(waiter); });
    }
  }
  finish();
  return requests;
}

void Locks::make_present(SessionLocks& session) {
  if (!session.absent) return;
  session.absent = false;
  --absent_sessions_;
}

void Locks::want(const Ask& ask) {
  if (absent_sessions_ == 0) return;
  const SessionLocks* last = nullptr;
  auto note = [&](const HeldRange& held) {
    const SessionLocks* holder = held.holding->agent->session;
    if (holder->absent && holder != last) wanted_.insert({holder->id, ask.space.file->id});
    last = holder;
    return true;
  };
  ask.space.held.each_conflict(ask.range, ask.mode, find(ask.agent, ask.space), note);
}

void Locks::want_wal(const SessionLocks& asking, const FileId& database) {
  const WalOwners::Ownership* ownership = wal_.find(database);
  if (ownership == nullptr || ownership->session == &asking || !ownership->session->absent) return;
  wanted_.insert({ownership->session->id, database});
}

std::vector<FileId> Locks::lost_with(const FileId& file) const {
  const FileId* tied = wal_.tied_to(file);
  const FileId& database = tied == nullptr ? file : *tied;
  std::vector<FileId> files{database};
  if (const WalOwners::Ownership* ownership = wal_.find(database))
    files.insert(files.end(), ownership->tied.begin(), ownership->tied.end());
  return files;
}

void Locks::lose_file(SessionLocks& session, const FileId& id, Instant now, Answers& answers) {
  begin(now, answers);
  if (session.wal_databases.contains(id)) wal_.end(id);
  if (File* file = find(id)) {
    clear_file(session, *file);
    // What was tied to a wal-index that ended with it, or kept one alive.
    end_idle_wal(session, id);
  }
  finish();
}

bool Locks::has_file(const SessionLocks& session, const FileId& id) const {
  if (session.wal_databases.contains(id)) return true;
  const File* file = find(id);
  return file != nullptr && (holds(session, file->range, ByteRange::whole_file()) ||
                             holds(session, file->flock, ByteRange::whole_file()));
}

bool Locks::reclaim(SessionLocks& session, const HeldLock& held, Instant now, Answers& answers) {
  return !push(session, held, now, answers);
}

bool Locks::reclaim_wal(SessionLocks& session, const FileKey& database, bool under_token,
                        Instant now, Answers& answers) {
  return std::holds_alternative<Done>(claim_wal(session, {database}, under_token, now, answers));
}

std::optional<std::uint64_t> Locks::place_of(const SessionLocks& session, RequestNumber number) {
  const auto at = session.waiters.find(number);
  if (at == session.waiters.end()) return std::nullopt;
  return at->second->seq;
}

}  // namespace holdfast::lockd
