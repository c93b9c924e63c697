// What people and metrics see of a coordinator, with bounded work.

#include "lockd/core/coordinator.h"
#include "lockd/core/coordinator_state.h"
#include "lockd/core/snapshot.h"
#include "lockd/core/wait_queue.h"

#include <algorithm>
#include <string>
#include <utility>

namespace holdfast::lockd {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

class Look {
 public:
  Look(const SnapshotLimits& limits, const Sessions& sessions, Instant now)
      : limits_(limits), sessions_(sessions), now_(now) {}

  void at_session(const Session& session) {
    ++out.sessions_by_phase[static_cast<std::size_t>(phase_of(session))];
    out.connected += session.connected ? 1 : 0;
    out.held += session.locks.range_count;
    out.waiting += session.locks.waiters.size();
    out.tokens_asked += session.tokens.waiting.size();
    out.wal_owners += session.locks.wal_databases.size();
    if (session.phase == Phase::kLive)
      out.lease_left_min = std::min(out.lease_left_min, session.lease_until - now_);
    if (out.sessions.size() < limits_.sessions_max) {
      out.sessions.push_back(info_of(session, now_));
    } else {
      out.sessions_cut = true;
    }
  }

  void at_waiters(const Session& session) {
    for (const auto& [number, waiter] : session.locks.waiters) {
      if (!look(waiters_seen_)) return;
      out.oldest_wait = std::max(out.oldest_wait, now_ - waiter->since);
      found_.push_back(waiter.get());
    }
  }
  /// Of those seen, the ones that wait longest.
  void show_waits() {
    const auto shown = std::min(limits_.waits_max, found_.size());
    out.waits_cut = shown < out.waiting;
    const auto middle = found_.begin() + static_cast<std::ptrdiff_t>(shown);
    std::partial_sort(found_.begin(), middle, found_.end(), [](const Waiter* a, const Waiter* b) {
      return std::pair(a->since, a->seq) < std::pair(b->since, b->seq);
    });
    for (auto at = found_.begin(); at != middle; ++at)
      show(**at);
  }

  void at_ownership(const FileId& database, const WalOwners::Ownership& ownership) {
    if (!look(ranges_seen_) || !room()) return;
    LockInfo info = about(*ownership.session, database.key, ownership.since, LockState::kWalOwner);
    info.mode = LockMode::kExclusive;
    info.range = kDatabaseLockBytes;
    out.locks.push_back(std::move(info));
  }
  void at_ranges(const Session& session) {
    for (const auto& [key, agent] : session.locks.agents)
      for (const auto& [space, holding] : agent->holdings)
        if (!at_ranges(holding)) return;
  }

  Snapshot out;

 private:
  /// False: enough has been looked at.
  bool look(std::size_t& seen) {
    if (seen == limits_.looks_max) {
      out.looked_at_all = false;
      return false;
    }
    ++seen;
    return true;
  }
  bool room() {
    if (out.locks.size() < limits_.locks_max) return true;
    out.locks_cut = true;
    return false;
  }

  bool at_ranges(const Holding& holding) {
    std::uint64_t done = 0;
    const auto next = [&] {
      return holding.ranges.first([&](const HeldRange& held) { return held.range.end() > done; });
    };
    for (const HeldRange* held = next(); held != nullptr; held = next()) {
      if (!look(ranges_seen_)) return false;
      out.oldest_lock = std::max(out.oldest_lock, now_ - held->since);
      if (room()) out.locks.push_back(about(*held));
      done = held->range.end();
    }
    return true;
  }

  void show(const Waiter& waiter) {
    WaitShown& shown = out.waits.emplace_back();
    shown.wait = about(waiter);
    const auto holding = waiter.agent->holdings.find(waiter.space);
    const Holding* own = holding == waiter.agent->holdings.end() ? nullptr : &holding->second;
    auto blocker = [&](const HeldRange& held) {
      if (shown.blockers.size() == limits_.blockers_max) {
        shown.more_blockers = true;
        return false;
      }
      shown.blockers.push_back(about(held));
      return true;
    };
    waiter.space->held.each_conflict(waiter.range, waiter.mode, own, blocker);
    if (shown.blockers.empty() && waiter.behind != nullptr)
      shown.blockers.push_back(about(*waiter.behind));
  }

  [[nodiscard]] LockInfo about(const HeldRange& held) const {
    const Agent& agent = *held.holding->agent;
    const FileSpace& space = *held.holding->space;
    LockInfo info = about(*agent.session, space.file->id.key, held.since, LockState::kHeld);
    info.space = space.kind;
    info.mode = held.mode;
    info.range = held.range;
    info.owner = agent.key.owner;
    info.pid = held.pid;
    info.token = held.token;
    return info;
  }
  [[nodiscard]] LockInfo about(const Waiter& waiter) const {
    LockInfo info = about(*waiter.agent->session, waiter.space->file->id.key, waiter.since,
                          LockState::kWaiting);
    info.space = waiter.space->kind;
    info.mode = waiter.mode;
    info.range = waiter.range;
    info.owner = waiter.agent->key.owner;
    info.pid = waiter.pid;
    return info;
  }
  [[nodiscard]] LockInfo about(const SessionLocks& locks, FileKey file, Instant since,
                               LockState state) const {
    LockInfo info;
    info.state = state;
    info.session = locks.id;
    if (const Session* session = sessions_.find(locks.id)) {
      info.node = session->record.node;
      info.volume_name = session->record.volume_name;
    }
    info.file = file;
    info.age = duration_cast<milliseconds>(now_ - since);
    return info;
  }

  SnapshotLimits limits_;
  const Sessions& sessions_;
  Instant now_;
  std::size_t waiters_seen_ = 0;
  std::size_t ranges_seen_ = 0;
  std::vector<const Waiter*> found_;
};

}  // namespace

Snapshot Coordinator::snapshot(const SnapshotLimits& limits, Instant now) const {
  State& state = *state_;
  Look look(limits, state.sessions, now);
  look.out.lease_left_min = state.options.lease_ttl;
  state.sessions.for_each([&](const Session& session) { look.at_session(session); });
  look.out.tokens = state.tokens.count();
  look.out.files = state.locks.file_count();
  state.sessions.for_each([&](const Session& session) { look.at_waiters(session); });
  look.show_waits();
  for (const auto& [database, ownership] : state.locks.wal_owners().all())
    look.at_ownership(database, ownership);
  state.sessions.for_each([&](const Session& session) { look.at_ranges(session); });
  return std::move(look.out);
}

}  // namespace holdfast::lockd
