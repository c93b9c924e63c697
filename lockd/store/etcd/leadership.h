#pragma once
/// Who is the active lockd: a lease kept in etcd, measured by lockds' own clocks (docs/adr/0011).
///
/// The key `leader` holds a value that only one life of one lockd writes. The leader puts it again
/// and again, each put guarded by "the value is still mine", and may act until the instant *before*
/// sending the last put that was answered, plus its time to live, less a margin. A standby takes
/// over by a put guarded by "not put again since I looked", once it has seen no new put for that
/// time to live by its own clock. What it saw was sent before it looked: so the leader stops first,
/// whatever etcd's clocks do and however late a message is.
///
/// Threads: campaign() and resign() on the caller's; the puts on one of its own, so that nothing
/// delays them. authority_until() and lost(): any.

#include "holdfast/base/clock.h"
#include "lockd/store/etcd/client.h"
#include "lockd/store/etcd/rows.h"

#include <atomic>
#include <functional>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <variant>

namespace holdfast::lockd {

class Leadership {
 public:
  /// `on_lost` is called once, on any thread, when it leads no more: by force, not by resign().
  Leadership(const EtcdOptions& options, EtcdKeys keys, EtcdIdentity identity,
             std::function<void(std::string why)> on_lost);
  ~Leadership();
  Leadership(const Leadership&) = delete;
  Leadership& operator=(const Leadership&) = delete;

  struct Leads {};
  struct Waits {
    std::string why;     ///< the same as long as nothing changes
    std::string detail;  ///< may change each time: which member said what
  };
  /// One look, and one try if the time has come. Call it again and again, a small part of the time
  /// to live apart.
  using Look = std::variant<Leads, Waits, wire::StartFailure>;
  [[nodiscard]] Look campaign(EtcdClient& client);

  /// No longer after this, and nobody need wait for us. Whoever acted by this has stopped.
  void resign(EtcdClient& client);
  /// Found out by a guarded write: somebody else leads.
  void lose(const std::string& why);

  [[nodiscard]] Instant authority_until() const {
    return Instant(Duration(authority_.load(std::memory_order_acquire)));
  }
  [[nodiscard]] bool lost() const { return lost_.load(std::memory_order_acquire); }
  /// The guard of every write.
  void guard(etcdserverpb::TxnRequest& request) const;
  [[nodiscard]] const std::string& value() const { return value_; }

 private:
  Look take_over(EtcdClient& client, std::optional<std::int64_t> seen);
  void led_since(Instant sent);
  void beat();
  [[nodiscard]] etcdserverpb::TxnRequest put_again() const;
  void compact(EtcdClient& client, std::int64_t revision, Instant now);

  const EtcdOptions& options_;
  EtcdKeys keys_;
  EtcdIdentity identity_;
  std::string value_;  // of the key, while this one leads
  std::function<void(std::string)> on_lost_;
  std::atomic<std::int64_t> authority_{0};
  std::atomic<bool> lost_{false};
  // campaign()
  std::optional<std::int64_t> seen_;  // mod_revision of the leader's last put, 0 = no key
  Instant seen_at_;
  // the thread, once it leads
  Instant sent_;
  std::optional<std::int64_t> compact_to_;
  Instant compact_at_;
  std::counting_semaphore<4> stop_{0};
  std::thread beating_;
};

}  // namespace holdfast::lockd
