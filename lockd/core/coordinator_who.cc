// Who has locks of a file, for people.

#include "lockd/core/coordinator.h"
#include "lockd/core/coordinator_state.h"

#include <algorithm>

namespace holdfast::lockd {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

class WhoListing {
 public:
  WhoListing(std::uint64_t fileid, Instant now) : fileid_(fileid), now_(now) {}

  void add(const Session& session) {
    for (const FileId& database : session.locks.wal_databases) {
      LockInfo* info = next(session, LockState::kWalOwner, database.key, now_);
      if (info == nullptr) continue;
      info->mode = LockMode::kExclusive;
      info->range = kDatabaseLockBytes;
    }
    for (const auto& [key, agent] : session.locks.agents) {
      for (const auto& [space, holding] : agent->holdings) {
        if (space->file->id.key.fileid != fileid_) continue;
        holding.ranges.for_each([&](const HeldRange& held) { add(session, held); });
      }
      for (const auto& [seq, waiter] : agent->waiters)
        add(session, *waiter);
    }
  }
  /// Those who wait in the order in which they came.
  void finish(WhoAnswer& answer) {
    std::stable_sort(locks_.begin(), locks_.end(), [](const LockInfo& a, const LockInfo& b) {
      const bool waits_a = a.state == LockState::kWaiting;
      const bool waits_b = b.state == LockState::kWaiting;
      return waits_a != waits_b ? waits_b : a.age > b.age;
    });
    answer.locks = std::move(locks_);
    answer.truncated = truncated_;
  }

 private:
  void add(const Session& session, const HeldRange& held) {
    const FileSpace& space = *held.holding->space;
    LockInfo* info = next(session, LockState::kHeld, space.file->id.key, held.since);
    if (info == nullptr) return;
    fill(*info, space, *held.holding->agent, held);
    info->token = held.token;
  }
  void add(const Session& session, const Waiter& waiter) {
    LockInfo* info = next(session, LockState::kWaiting, waiter.space->file->id.key, waiter.since);
    if (info != nullptr) fill(*info, *waiter.space, *waiter.agent, waiter);
  }
  template <class Lock>
  static void fill(LockInfo& info, const FileSpace& space, const Agent& agent, const Lock& lock) {
    info.space = space.kind;
    info.mode = lock.mode;
    info.range = lock.range;
    info.owner = agent.key.owner;
    info.pid = lock.pid;
  }
  LockInfo* next(const Session& session, LockState state, FileKey file, Instant since) {
    if (file.fileid != fileid_) return nullptr;
    if (locks_.size() >= kWhoLocksMax) {
      truncated_ = true;
      return nullptr;
    }
    LockInfo& info = locks_.emplace_back();
    info.state = state;
    info.session = session.id();
    info.node = session.record.node;
    info.volume_name = session.record.volume_name;
    info.file = file;
    info.age = duration_cast<milliseconds>(now_ - since);
    return &info;
  }

  std::uint64_t fileid_;
  Instant now_;
  std::vector<LockInfo> locks_;
  bool truncated_ = false;
};

void add_tokens(const Session& session, std::uint64_t fileid, WhoMount& mount) {
  for (const auto& [file, token] : session.tokens.held) {
    const FileKey& key = file->id->key;
    if (key == kVolumeKey) mount.has_volume = token.mode == TokenMode::kExclusive;
    if (key.fileid == fileid && key != kVolumeKey) mount.token = token.mode;
  }
}

}  // namespace

std::optional<WhoAnswer> Coordinator::who(std::optional<SessionId> asker, std::uint64_t fileid,
                                          Instant now) const {
  const Session* of = asker ? state_->sessions.find(*asker) : nullptr;
  if (asker && of == nullptr) return std::nullopt;
  WhoAnswer answer;
  answer.from_lockd = true;
  answer.grace = state_->grace;
  WhoListing listing(fileid, now);
  bool truncated = false;
  for (SessionInfo& info : list_sessions(now).sessions) {
    const Session& session = *state_->sessions.find(info.session);
    if (of != nullptr && session.locks.volume != of->locks.volume) continue;
    listing.add(session);
    if (answer.mounts.size() >= kWhoMountsMax) {
      truncated = true;
      continue;
    }
    WhoMount& mount = answer.mounts.emplace_back();
    mount.session = std::move(info);
    add_tokens(session, fileid, mount);
  }
  listing.finish(answer);
  answer.truncated = answer.truncated || truncated;
  return answer;
}

}  // namespace holdfast::lockd
