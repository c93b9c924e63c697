#pragma once
/// lockd's stable storage: atomic writes that become durable some time later, or fail with their
/// outcome unknown. With several lockds it also knows who leads (lockd/store/etcd/leadership.h): a
/// write of one that does not is refused.

#include "lockd/core/records.h"
#include "tests/sim/world.h"

#include <functional>
#include <map>
#include <optional>

namespace holdfast::sim {

class StoreModel {
 public:
  enum class Outcome { kDurable, kFailed, kNotLeader };
  struct Opened {
    lockd::Recovered recovered;
    std::uint64_t lease = 0;  ///< of the leader
  };

  StoreModel(World& world, std::size_t lockds, Duration leader_ttl)
      : world_(world), replicated_(lockds > 1), leader_ttl_(leader_ttl), cut_(lockds) {}

  /// Reads everything and makes a new epoch durable. `then` gets nothing if another one leads or
  /// the store does not answer. `wall_seconds`: the node's idea of unix time.
  void open(std::size_t lockd, Process& process, milliseconds lease_ttl, std::uint64_t wall_seconds,
            std::function<void(std::optional<Opened>)> then);
  void write(std::size_t lockd, std::uint64_t lease, Process& process,
             const lockd::StoreChanges& changes, std::function<void(Outcome)> then);
  /// Replicas: the leader says that it is alive. `then(false)`: somebody else leads.
  void keep_alive(std::size_t lockd, std::uint64_t lease, Process& process,
                  std::function<void(bool)> then);
  /// The process that was writing is dead: what was on its way is durable, or not.
  void crashed(std::size_t lockd);

  /// Told of each record when it is durable, whoever hears of it, and when.
  std::function<void(const lockd::SessionRecord&)> recorded;

  // ---- Faults
  void fail_next(std::uint64_t writes) { failing_ = writes; }
  void slow(bool yes) { slow_ += yes ? 1 : -1; }
  void cut(std::size_t lockd, bool yes) { cut_[lockd] += yes ? 1 : -1; }
  void erase();
  /// Calls `crash` with the lockd that writes, at the n-th write from now, before or after it
  /// became durable.
  void at_write(std::uint64_t n, bool after, std::function<void(std::size_t lockd)> crash);
  void disarm() { trap_.reset(); }

  [[nodiscard]] bool replicated() const { return replicated_; }
  [[nodiscard]] Duration leader_ttl() const { return leader_ttl_; }
  [[nodiscard]] bool leads(std::size_t lockd) const {
    return leader_ && leader_->lockd == lockd && leader_->until > world_.now();
  }
  /// How often it was erased: what was known then is excused.
  [[nodiscard]] std::uint64_t erased() const { return erased_; }

 private:
  struct Leader {
    std::size_t lockd = 0;
    std::uint64_t lease = 0;
    Time until{};
  };
  struct Writing {
    std::size_t lockd = 0;
    lockd::StoreChanges changes;
  };
  [[nodiscard]] Duration delay();
  void apply(const lockd::StoreChanges& changes);
  void arrive(std::uint64_t ticket, std::size_t lockd, std::uint64_t lease, Process& process,
              std::function<void(Outcome)> then);

  World& world_;
  bool replicated_;
  Duration leader_ttl_;
  std::vector<int> cut_;
  std::map<SessionId, lockd::SessionRecord> sessions_;
  Epoch epoch_;
  milliseconds lease_ttl_max_{0};
  milliseconds served_ttl_{0};  ///< of the life that is
  bool empty_ = true;
  std::optional<Leader> leader_;
  std::uint64_t last_lease_ = 0;
  std::uint64_t last_ticket_ = 0;
  std::map<std::uint64_t, Writing> on_its_way_;
  std::uint64_t failing_ = 0;
  int slow_ = 0;
  std::uint64_t erased_ = 0;
  struct Trap {
    std::uint64_t left = 0;
    bool after = false;
    std::function<void(std::size_t)> crash;
  };
  std::optional<Trap> trap_;
};

}  // namespace holdfast::sim
