// What administrators see, and the invariants.

#include "holdfast/base/assert.h"
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
    info.node = session.record.node;
    info.volume_name = session.record.volume_name;
    info.file = file;
    info.age = duration_cast<milliseconds>(now_ - since);
    return &info;
  }

  Instant now_;
  std::size_t entries_max_;
  LockList list_;
};

}  // namespace

SessionPhase phase_of(const Session& session) {
  switch (session.phase) {
    case Phase::kReturning:
      return SessionPhase::kReturning;
    case Phase::kLive:
      return SessionPhase::kLive;
    case Phase::kCourtesy:
      return SessionPhase::kCourtesy;
    case Phase::kFencing:
      return SessionPhase::kFencing;
    case Phase::kFenced:
      return SessionPhase::kFenced;
  }
  return SessionPhase::kLive;
}

SessionInfo info_of(const Session& session, Instant now) {
  const SessionRecord& record = session.record;
  return {.session = session.id(),
          .node = record.node,
          .mountpoint = record.mountpoint,
          .volume_name = record.volume_name,
          .volume = record.volume,
          .pid = record.pid,
          .connected = session.connected,
          .lease_left = duration_cast<milliseconds>(session.lease_until - now),
          .locks = session.locks.range_count,
          .waiters = session.locks.waiters.size(),
          .phase = phase_of(session),
          .breaking = session.record.breaks.given(),
          .losses = record.losses.size(),
          .tokens = session.tokens.held.size()};
}

SessionList Coordinator::list_sessions(Instant now) const {
  SessionList list;
  list.epoch = state_->epoch;
  list.grace = state_->grace;
  if (state_->grace && state_->formers == 0)
    list.grace_left = std::chrono::ceil<milliseconds>(state_->grace_until - now);
  list.stale = state_->stale;
  state_->sessions.for_each(
      [&](const Session& session) { list.sessions.push_back(info_of(session, now)); });
  return list;
}

LockList Coordinator::list_locks(Instant now, std::size_t entries_max) const {
  Listing listing(now, entries_max);
  // Few, and what an operator looks for when a node is refused: first.
  for (const auto& [database, ownership] : state_->locks.wal_owners().all())
    listing.add(*state_->sessions.find(ownership.session->id), database, ownership.since);
  state_->sessions.for_each([&](const Session& session) { listing.add(session); });
  LockList list = listing.take();
  list.tokens = state_->tokens.count();
  return list;
}

Status Coordinator::status() const {
  Status status{.epoch = state_->epoch,
                .grace = state_->grace,
                .stale = state_->stale,
                .grace_until = state_->formers > 0 ? Instant::max() : state_->grace_until};
  state_->sessions.for_each([&](const Session& session) {
    status.returning += session.phase == Phase::kReturning ? 1 : 0;
    status.courtesy += session.phase == Phase::kCourtesy ? 1 : 0;
    status.fencing += session.phase == Phase::kFencing ? 1 : 0;
  });
  return status;
}

std::optional<FenceState> Coordinator::fencing(SessionId id) const {
  const Session* session = state_->sessions.find(id);
  if (session == nullptr || session->phase != Phase::kFencing) return std::nullopt;
  return FenceState{.command = session->fencing.attempt != 0,
                    .failed = session->fencing.step >= state_->options.fence.size(),
                    .until = session->due};
}

void Coordinator::check_invariants() const {
  std::vector<const SessionLocks*> known;
  std::size_t formers = 0;
  state_->sessions.for_each([&](const Session& session) {
    known.push_back(&session.locks);
    formers += session.former ? 1 : 0;
    const bool absent = session.phase == Phase::kCourtesy || session.phase == Phase::kFenced ||
                        (session.phase == Phase::kFencing && session.locks.absent);
    const bool quiet = session.record.quiet != Quiet::kNo;
    HOLDFAST_ASSERT(!quiet || session.phase != Phase::kLive, "who is live may write");
    HOLDFAST_ASSERT(state_->quiet_formers.contains(session.id()) ==
                        (quiet && session.phase == Phase::kReturning),
                    "those that are waited for only a moment are known");
    HOLDFAST_ASSERT(session.locks.absent == absent, "who is absent has no lease");
    HOLDFAST_ASSERT(session.phase == Phase::kLive || session.locks.waiters.empty(),
                    "only live sessions wait");
    HOLDFAST_ASSERT(session.phase != Phase::kLive || state_->grace || session.deferred.empty(),
                    "nothing is put off without a reason");
  });
  HOLDFAST_ASSERT(formers == state_->formers, "grace lasts until the last one is settled");
  state_->locks.check_invariants(known);
  state_->check_tokens();
}

}  // namespace holdfast::lockd
