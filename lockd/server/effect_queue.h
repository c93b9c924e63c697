#pragma once
/// Performs the coordinator's effects in order; whatever follows a Record waits until the store has
/// it. Records that come while the store writes are written together afterwards (group commit).
///
/// Until a write has succeeded nothing behind it leaves. What may overtake (answers to renewals)
/// does not come here.
///
/// Thread: the executor's thread only. Bounds: what waits here is bounded by the requests in flight
/// of all sessions (Limits) and the connections of the server.

#include "lockd/core/coordinator.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

namespace holdfast::lockd {

class EffectQueue {
 public:
  /// `perform` is called for every effect but Record; it may call add(). `wake` is called when
  /// there is something to write.
  EffectQueue(std::function<void(const Effect&)> perform, std::function<void()> wake)
      : perform_(std::move(perform)), wake_(std::move(wake)) {}

  /// Performs what may be performed at once, keeps the rest.
  void add(Effects effects);
  /// What is to be written now, all in one transaction; empty if nothing is.
  [[nodiscard]] StoreChanges take_changes();
  /// The changes last taken are durable: performs what waited for them.
  void written();
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

 private:
  void drain();

  std::function<void(const Effect&)> perform_;
  std::function<void()> wake_;
  std::deque<Effect> waiting_;  // a Record in it has given its changes to pending_
  StoreChanges pending_;
  std::uint64_t recorded_ = 0;  // Records that came
  std::uint64_t taken_ = 0;     // of these, in a transaction that runs or is durable
  std::uint64_t durable_ = 0;   // of these, durable
  std::uint64_t passed_ = 0;    // of these, no longer in waiting_
  bool draining_ = false;
};

}  // namespace holdfast::lockd
