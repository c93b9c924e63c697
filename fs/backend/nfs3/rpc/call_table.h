#pragma once
/// Calls of one connection that wait for their replies, by xid, and what is to be sent (again).
/// Pure.
///
/// Policy: a call keeps its xid for life. When the connection is lost, everything unanswered is
/// sent again in the order of the calls, with the same xid and the same bytes, so that a server
/// that still knows them answers from its duplicate request cache. A call of which any byte may
/// have reached an earlier connection is `repeated`.
///
/// A server that still carries out the first copy drops the repetition without a word (knfsd,
/// nfs-ganesha), and sends its answer to the connection that is gone. So a repeated call is
/// repeated further, on the same connection, until it is answered from the cache: at growing
/// intervals.
///
/// Invariants (check_invariants):
///  T1  to_send() names each unanswered call at most once, and only calls that are not on the wire,
///      or due `again`.
///  T2  An abandoned call is never sent (again).

#include "holdfast/base/assert.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <unordered_map>
#include <utility>

namespace holdfast::fs::nfs3::rpc {

template <class T>
class CallTable {
 public:
  using Time = std::chrono::steady_clock::time_point;  // passed in, never read
  using Interval = std::chrono::steady_clock::duration;
  static constexpr Interval kAgainMin = std::chrono::seconds(3);
  static constexpr Interval kAgainMax = std::chrono::seconds(30);
  struct Call {
    std::uint32_t xid = 0;
    std::uint64_t order = 0;
    unsigned sends = 0;  ///< times that at least a part of it was sent
    bool on_wire = false;
    bool again = false;  ///< on the wire, and to be sent once more
    bool abandoned = false;
    Time since{};  ///< on the wire
    Time sent_at{};
    Interval pause{};  ///< from then, before it is sent once more
    T payload{};
  };

  explicit CallTable(std::uint32_t first_xid) : next_xid_(first_xid) {}

  /// Adds a call at the end of the sending order.
  Call& add(T payload) {
    while (calls_.contains(next_xid_))
      ++next_xid_;
    const std::uint32_t xid = next_xid_++;
    Call& call = calls_[xid];
    call.xid = xid;
    call.order = next_order_++;
    call.payload = std::move(payload);
    to_send_.push_back(xid);
    return call;
  }
  /// The next call to put on the wire, marked so; nullptr if there is none.
  Call* send_next(Time now) {
    if (to_send_.empty()) return nullptr;
    Call& call = calls_.at(to_send_.front());
    to_send_.pop_front();
    if (!call.again) {
      call.since = now;
      call.pause = kAgainMin;
    }
    call.again = false;
    call.on_wire = true;
    call.sent_at = now;
    ++call.sends;
    return &call;
  }
  /// Repeated calls that have waited long enough are to be sent once more, but for those that
  /// `busy` says are being sent.
  template <class Busy>
  void repeat_due(Time now, Busy busy) {
    std::map<std::uint64_t, Call*> due;
    for (auto& [xid, call] : calls_) {
      const bool waits = call.on_wire && !call.again && !call.abandoned && call.sends > 1;
      if (waits && now - call.sent_at >= call.pause && !busy(xid)) due.emplace(call.order, &call);
    }
    for (const auto& [order, call] : due) {
      call->again = true;
      call->pause = std::min(2 * call->pause, kAgainMax);
      to_send_.push_back(call->xid);
    }
  }
  [[nodiscard]] Call* find(std::uint32_t xid) {
    const auto it = calls_.find(xid);
    return it == calls_.end() ? nullptr : &it->second;
  }
  /// Ends a call: answered, or refused by us.
  void erase(std::uint32_t xid) {
    const auto it = calls_.find(xid);
    if (it == calls_.end()) return;
    if (!it->second.on_wire || it->second.again) std::erase(to_send_, xid);
    calls_.erase(it);
  }
  /// The caller gave up. A call on the wire stays known until its reply or the end of the
  /// connection (its payload's `hold` then still keeps later calls waiting); others vanish.
  void abandon(std::uint32_t xid) {
    Call* call = find(xid);
    if (call == nullptr) return;
    if (!call->on_wire) return erase(xid);
    if (std::exchange(call->again, false)) std::erase(to_send_, xid);
    call->abandoned = true;
  }
  /// Everything unanswered is to be sent again.
  void connection_lost() {
    std::map<std::uint64_t, std::uint32_t> again;
    for (auto it = calls_.begin(); it != calls_.end();) {
      if (it->second.abandoned) {
        it = calls_.erase(it);
        continue;
      }
      it->second.on_wire = it->second.again = false;
      again.emplace(it->second.order, it->first);
      ++it;
    }
    to_send_.clear();
    for (const auto& [order, xid] : again)
      to_send_.push_back(xid);
  }
  /// When the longest-waiting call on the wire was sent first; Time::max() if none waits.
  [[nodiscard]] Time oldest_sent() const {
    Time oldest = Time::max();
    for (const auto& [xid, call] : calls_)
      if (call.on_wire && call.since < oldest) oldest = call.since;
    return oldest;
  }
  [[nodiscard]] bool empty() const { return calls_.empty(); }
  [[nodiscard]] std::size_t size() const { return calls_.size(); }
  [[nodiscard]] bool anything_to_send() const { return !to_send_.empty(); }
  /// For ending all calls: visit, then clear.
  template <class Visit>
  void clear(Visit visit) {
    auto calls = std::exchange(calls_, {});
    to_send_.clear();
    for (auto& [xid, call] : calls)
      visit(call);
  }
  void check_invariants() const {
    for (const std::uint32_t xid : to_send_) {
      const auto it = calls_.find(xid);
      HOLDFAST_ASSERT(it != calls_.end(), "T1: a call to send is unknown");
      HOLDFAST_ASSERT(!it->second.on_wire || it->second.again, "T1: a call to send is on the wire");
      HOLDFAST_ASSERT(!it->second.abandoned, "T2: an abandoned call is to be sent");
    }
    std::size_t waiting = 0;
    for (const auto& [xid, call] : calls_)
      waiting += !call.on_wire || call.again ? 1 : 0;
    HOLDFAST_ASSERT(waiting == to_send_.size(), "T1: a call is neither sent nor to be sent");
  }

 private:
  std::unordered_map<std::uint32_t, Call> calls_;
  std::deque<std::uint32_t> to_send_;
  std::uint32_t next_xid_;
  std::uint64_t next_order_ = 0;
};

}  // namespace holdfast::fs::nfs3::rpc
