#include "tests/sim/queue_judge.h"

#include <algorithm>

namespace holdfast::sim {

bool QueueJudge::arrived(SessionId session, const Request& request, bool holder, bool grace,
                         Instant now) {
  auto& of_session = pending_[session];
  RequestNumber& seen = seen_[session];
  if (request.number <= seen) return false;
  seen = request.number;
  Pending pending{.command = request.command, .since = now, .converts = holder};
  const auto* lock = std::get_if<LockRequest>(&request.command);
  if (lock != nullptr && grace) pending.place = lock->place;
  of_session.emplace(request.number, std::move(pending));
  return true;
}

void QueueJudge::queued(SessionId session, const Queued& queued) {
  const auto of_session = pending_.find(session);
  if (of_session == pending_.end()) return;
  const auto at = of_session->second.find(queued.number);
  if (at == of_session->second.end()) return;
  at->second.place = queued.place;
  at->second.converts = false;
}

const QueueJudge::Pending* QueueJudge::find(SessionId session, RequestNumber number) const {
  const auto of_session = pending_.find(session);
  if (of_session == pending_.end()) return nullptr;
  const auto at = of_session->second.find(number);
  return at == of_session->second.end() ? nullptr : &at->second;
}

const Command* QueueJudge::pending(SessionId session, RequestNumber number) const {
  const Pending* one = find(session, number);
  return one == nullptr ? nullptr : &one->command;
}

void QueueJudge::answered(SessionId session, RequestNumber number) {
  const auto of_session = pending_.find(session);
  if (of_session != pending_.end()) of_session->second.erase(number);
}

void QueueJudge::loses(SessionId session, const FileKey& file) {
  for (auto& [number, pending] : pending_[session]) {
    const auto* lock = std::get_if<LockRequest>(&pending.command);
    if (lock != nullptr && lock->file == file) pending.lost = true;
  }
}

bool QueueJudge::lost(SessionId session, RequestNumber number) const {
  const Pending* one = find(session, number);
  return one != nullptr && one->lost;
}

void QueueJudge::withdrawn(SessionId session) {
  for (auto& [number, pending] : pending_[session])
    pending.place.reset();
}

void QueueJudge::granted(SessionId session, RequestNumber number, bool holder, Instant now,
                         const std::function<bool(SessionId)>& absent) {
  const auto& of_session = pending_[session];
  const auto at = of_session.find(number);
  if (at == of_session.end() || holder || at->second.converts ||
      now - at->second.since >= patience_)
    return;
  const auto& request = std::get<LockRequest>(at->second.command);
  const Mask mask = mask_of(request.range);
  for (const auto& [other, requests] : pending_) {
    for (const auto& [one, pending] : requests) {
      const auto* waits = std::get_if<LockRequest>(&pending.command);
      if (waits == nullptr || waits->wait == Wait::kNo || !pending.place) continue;
      if (other == session && waits->owner == request.owner) continue;
      const bool earlier = !at->second.place || *pending.place < *at->second.place;
      const bool conflict =
          waits->file == request.file && waits->space == request.space &&
          (mask_of(waits->range) & mask) != 0 &&
          (waits->mode == LockMode::kExclusive || request.mode == LockMode::kExclusive);
      if (!earlier || !conflict || absent(other)) continue;
      world_.violation(
          "I5 order",
          fmt::format("session {:x} request {} is granted over request {} of session "
                      "{:x}, which waits at {}.{}",
                      session.value & 0xffff, number.value, one.value, other.value & 0xffff,
                      pending.place->epoch.value, pending.place->seq));
      return;
    }
  }
}

bool QueueJudge::anybody_gives_way() const {
  bool any = false;
  each_lock(
      [&](SessionId, const LockRequest& lock) { any = any || lock.kind == OwnerKind::kGivesWay; });
  return any;
}

void QueueJudge::check_ways(const LockList& list) const {
  const auto is_for = [](const LockInfo& waits, const LockInfo& held) {
    const bool same = waits.session == held.session && waits.owner == held.owner;
    return waits.state == LockState::kWaiting && held.state == LockState::kHeld && !same &&
           waits.file == held.file && waits.space == held.space &&
           (mask_of(waits.range) & mask_of(held.range)) != 0 &&
           (waits.mode == LockMode::kExclusive || held.mode == LockMode::kExclusive);
  };
  each_lock([&](SessionId session, const LockRequest& lock) {
    if (lock.kind != OwnerKind::kGivesWay) return;
    const auto waits = [&](const LockInfo& one) {
      return one.state == LockState::kWaiting && one.session == session && one.owner == lock.owner;
    };
    if (std::none_of(list.locks.begin(), list.locks.end(), waits)) return;
    for (const LockInfo& held : list.locks) {
      if (held.session != session || held.owner != lock.owner) continue;
      for (const LockInfo& other : list.locks)
        if (is_for(other, held))
          return world_.violation(
              "giving way", fmt::format("owner {} waits, and owner {} waits for what it holds of "
                                        "file {}",
                                        lock.owner.value, other.owner.value, file_of(held.file)));
    }
  });
}

void QueueJudge::each_lock(const std::function<void(SessionId, const LockRequest&)>& look) const {
  for (const auto& [session, requests] : pending_)
    for (const auto& [number, pending] : requests)
      if (const auto* lock = std::get_if<LockRequest>(&pending.command)) look(session, *lock);
}

}  // namespace holdfast::sim
