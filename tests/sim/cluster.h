#pragma once
/// One run: everything is built from a scenario, lives through its faults, is healed, and must come
/// to rest: every application makes progress, and lockd's table equals what applications believe.

#include "tests/sim/judge.h"
#include "tests/sim/lockd_node.h"
#include "tests/sim/mount_node.h"
#include "tests/sim/scenario.h"

#include <array>
#include <memory>
#include <optional>
#include <vector>

namespace holdfast::sim {

struct Result {
  std::optional<Violation> violation;
  std::uint64_t lock_operations = 0;
  std::uint64_t storage_operations = 0;
  std::uint64_t events = 0;
  std::uint64_t residual = 0;
  Time virtual_time{};
  std::array<std::uint64_t, kFaultKinds> faults{};
  std::deque<std::string> trace;
};

class Cluster {
 public:
  explicit Cluster(const Scenario& scenario, bool tracing);

  [[nodiscard]] Result run();
  /// Of a run that failed an assertion of the product.
  [[nodiscard]] Result so_far(const std::string& assertion);

 private:
  [[nodiscard]] Result result() const;
  void inject(const Fault& fault);
  void inject_on_mount(const Fault& fault);
  void inject_on_lockd(const Fault& fault);
  void inject_on_storage(const Fault& fault);
  void until(Duration delay, void (Cluster::*end)(std::size_t), std::size_t target);
  void restart_storage(Duration down);
  void thaw_mount(std::size_t mount);
  void start_mount(std::size_t mount) { mounts_[mount]->start(); }
  void start_lockd(std::size_t lockd) { lockds_[lockd]->start(); }
  [[nodiscard]] std::size_t leader() const;
  void heal();
  [[nodiscard]] Duration answered_within() const;
  void look_at_waits();
  [[nodiscard]] bool wait_for(Duration at_most, const std::function<bool()>& done);
  [[nodiscard]] bool all_finish(void (MountNode::*what)(), Duration bound);
  void come_to_rest();
  void check_rest();

  Scenario scenario_;
  World world_;
  Network network_;
  Judge judge_;
  Freshness freshness_;
  TokenJudge tokens_;
  NfsModel storage_;
  StoreModel store_;
  std::vector<std::unique_ptr<LockdNode>> lockds_;
  std::vector<std::unique_ptr<MountNode>> mounts_;
  std::array<std::uint64_t, kFaultKinds> injected_{};
  bool resting_ = false;
};

}  // namespace holdfast::sim
