#include "lockd/core/wait_queue.h"

namespace holdfast::lockd::wait_queue {
namespace {

/// Right to left, so that among equal starts the latest comes first; a subtree is skipped if it has
/// nothing early enough, nothing later than the best so far, or nothing that reaches the range.
void search_latest(Waiter* at, const Waiter& waiter, Waiter*& best) {
  if (at == nullptr || at->seq_min >= waiter.seq) return;
  if (best != nullptr && at->seq_max <= best->seq) return;
  if (at->reaches.conflicting(waiter.mode, waiter.agent) <= waiter.range.start()) return;
  if (at->range.start() < waiter.range.end()) {
    search_latest(at->right, waiter, best);
    const bool better = at->seq < waiter.seq && (best == nullptr || at->seq > best->seq);
    if (better && at->agent != waiter.agent && at->range.overlaps(waiter.range) &&
        modes_conflict(at->mode, waiter.mode))
      best = at;
  }
  search_latest(at->left, waiter, best);
}

void search_front(Waiter* at, const ByteRange& range, std::vector<Waiter*>& found) {
  if (at == nullptr || at->front_end <= range.start()) return;
  search_front(at->left, range, found);
  if (at->range.start() >= range.end()) return;
  if (at->behind == nullptr && at->range.end() > range.start()) found.push_back(at);
  search_front(at->right, range, found);
}

void follow(Waiter& waiter, Waiter* ahead) {
  if (Waiter* old = waiter.behind) {
    if (waiter.follower_prev != nullptr)
      waiter.follower_prev->follower_next = waiter.follower_next;
    else
      old->followers = waiter.follower_next;
    if (waiter.follower_next != nullptr) waiter.follower_next->follower_prev = waiter.follower_prev;
  }
  waiter.behind = ahead;
  waiter.follower_prev = nullptr;
  waiter.follower_next = ahead == nullptr ? nullptr : ahead->followers;
  if (waiter.follower_next != nullptr) waiter.follower_next->follower_prev = &waiter;
  if (ahead != nullptr) ahead->followers = &waiter;
}

}  // namespace

Waiter* latest_ahead(const Waiter& waiter) {
  Waiter* best = nullptr;
  search_latest(waiter.space->waiters.root(), waiter, best);
  return best;
}

void enter(Waiter& waiter) {
  if (!waiter.may_overtake) follow(waiter, latest_ahead(waiter));
  waiter.space->waiters.insert(waiter);
  ++waiter.space->waiter_count;
}

void leave(Waiter& waiter, std::vector<Waiter*>& to_the_front) {
  FileSpace& space = *waiter.space;
  follow(waiter, nullptr);
  space.waiters.erase(waiter);
  --space.waiter_count;
  while (Waiter* follower = waiter.followers) {
    Waiter* ahead = latest_ahead(*follower);
    follow(*follower, ahead);
    if (ahead != nullptr) continue;
    space.waiters.refresh(*follower);
    to_the_front.push_back(follower);
  }
}

void let_overtake(Waiter& waiter) {
  waiter.may_overtake = true;
  follow(waiter, nullptr);
  waiter.space->waiters.refresh(waiter);
}

void front_on(const FileSpace& space, const ByteRange& range, std::vector<Waiter*>& found) {
  search_front(space.waiters.root(), range, found);
}

}  // namespace holdfast::lockd::wait_queue
