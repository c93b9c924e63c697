#pragma once
/// Two lockds on an etcd of their own, one of them active.

#include "lockd/store/etcd/etcd_store.h"
#include "tests/integration/wire/lock_client_fixture.h"
#include "tests/support/etcd/etcd_cluster.h"
#include "tests/support/etcd/replica_process.h"

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::testing {

inline void create_settled(const std::string& store) {
  lockd::EtcdOptions options;
  options.location = *lockd::parse_etcd(store);
  const auto created = lockd::EtcdStore::create_settled(options);
  if (!created) throw std::runtime_error(created.error().what);
}

class ReplicaPair {
 public:
  /// The store is one that knows that there is nothing to know: no grace period. `members` of etcd.
  explicit ReplicaPair(const std::vector<std::string>& arguments, std::size_t members = 1)
      : etcd_(support::EtcdSetup{.members = members}) {
    const std::string store = etcd_.url("/test");
    create_settled(store);
    active_ = std::make_unique<support::ReplicaProcess>(store, arguments);
    standby_ = std::make_unique<support::ReplicaProcess>(store, arguments);
    active_->start();
    active_->wait_leading();
    standby_->start();
    standby_->wait_said("the active one is", 1);
  }

  [[nodiscard]] support::EtcdCluster& etcd() { return etcd_; }
  [[nodiscard]] support::ReplicaProcess& active() { return *active_; }
  [[nodiscard]] support::ReplicaProcess& standby() { return *standby_; }
  [[nodiscard]] std::vector<wire::Address> addresses() const {
    return {active_->address(), standby_->address()};
  }
  /// Drives `loop` until the standby is the active one, and exchanges their names here.
  void other_leads(support::DrivenLoop& loop) {
    const auto before = led_;
    loop.until([&] { return standby_->said(" lockd.leading ") > before[1]; });
    std::swap(active_, standby_);
    led_ = {active_->said(" lockd.leading "), standby_->said(" lockd.leading ")};
    std::swap(waits_[0], waits_[1]);
  }
  /// After standby().start().
  void standby_waits(support::DrivenLoop& loop) {
    const std::size_t before = waits_[1];
    loop.until([&] { return standby_->said("the active one is") > before; });
    waits_[1] = standby_->said("the active one is");
  }

 private:
  support::EtcdCluster etcd_;
  std::unique_ptr<support::ReplicaProcess> active_;
  std::unique_ptr<support::ReplicaProcess> standby_;
  std::array<std::size_t, 2> led_{1, 0};
  std::array<std::size_t, 2> waits_{0, 1};
};

}  // namespace holdfast::testing
