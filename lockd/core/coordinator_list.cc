// What administrators see, and the invariants.

#include "lockd/core/coordinator.h"
#include "lockd/core/coordinator_state.h"

#include <algorithm>
#include <utility>

namespace holdfast::lockd {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

class Listing {
 public:
  Listing(Instant now, std::size_t entries_max) : now_(now), entries_max_(entries_max) {}

  void add(const Session& session) {
    for (const auto& [key, agent] : session.locks.agents) {
      if (list_.truncated) return;
      for (const auto& [space, holding] : agent->holdings)
        holding.ranges.for_each([&](const HeldRange& held) { add(session, held); });
      for (const auto& [seq, waiter] : agent->waiters)
        add(session, *waiter);
    }
  }
  void add(const Session& session, const FileId& database, Instant since) {
    LockInfo* info = next(session, LockState::kWalOwner, database.key, since);
    if (info == nullptr) return;
    info->mode = LockMode::kExclusive;
    info->range = kDatabaseLockBytes;
  }
  [[nodiscard]] LockList take() { return std::move(list_); }

 private:
  void add(const Session& session, const HeldRange& held) {
    const Agent& agent = *held.holding->agent;
    const FileSpace& space = *held.holding->space;
    LockInfo* info = next(session, LockState::kHeld, space.file->id.key, held.since);
    if (info == nullptr) return;
    info->space = space.kind;
    info->mode = held.mode;
    info->range = held.range;
    info->owner = agent.key.owner;
    info->pid = held.pid;
    info->token = held.token;
  }
  void add(const Session& session, const Waiter& waiter) {
    LockInfo* info = next(session, LockState::kWaiting, waiter.space->file->id.key, waiter.since);
    if (info == nullptr) return;
    info->space = waiter.space->kind;
    info->mode = waiter.mode;
    info->range = waiter.range;
    info->owner = waiter.agent->key.owner;
    info->pid = waiter.pid;
  }
  LockInfo* next(const Session& session, LockState state, FileKey file, Instant since) {
    if (list_.locks.size() >= entries_max_) {
      list_.truncated = true;
      return nullptr;
    }
    LockInfo& info = list_.locks.emplace_back();
    info.state = state;
    info.session = session.id();
    info.node = session.hello.node;
    info.volume_name = session.hello.volume_name;
    info.file = file;
    info.age = duration_cast<milliseconds>(now_ - since);
    return &info;
  }

  Instant now_;
  std::size_t entries_max_;
  LockList list_;
};

}  // namespace

SessionList Coordinator::list_sessions(Instant now) const {
  SessionList list{state_->epoch, {}};
  for (const Session& session : state_->sessions.by_lease())
    list.sessions.push_back(
        {.session = session.id(),
         .node = session.hello.node,
         .mountpoint = session.hello.mountpoint,
         .volume_name = session.hello.volume_name,
         .volume = session.hello.volume,
         .pid = session.hello.pid,
         .connected = session.connected,
         .lease_left =
             std::max(duration_cast<milliseconds>(session.lease_until - now), milliseconds{0}),
         .locks = session.locks.range_count,
         .waiters = session.locks.waiters.size()});
  return list;
}

LockList Coordinator::list_locks(Instant now, std::size_t entries_max) const {
  Listing listing(now, entries_max);
  // Few, and what an operator looks for when a node is refused: first.
  for (const auto& [database, ownership] : state_->locks.wal_owners().all())
    listing.add(*state_->sessions.find(ownership.session->id), database, ownership.since);
  for (const Session& session : state_->sessions.by_lease())
    listing.add(session);
  return listing.take();
}

void Coordinator::check_invariants() const {
  std::vector<const SessionLocks*> alive;
  for (const Session& session : state_->sessions.by_lease())
    alive.push_back(&session.locks);
  state_->locks.check_invariants(alive);
}

}  // namespace holdfast::lockd
