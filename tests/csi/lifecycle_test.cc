// The whole life of a volume: repeated at every step, with several at once, and with the driver
// killed between any two steps and in the middle of each.

#include "tests/csi/expect.h"
#include "tests/csi/servers.h"

#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::csi::testing {
namespace {

using Step = std::function<void()>;

class Life {
 public:
  Life(Orchestrator& cluster, std::string name) : cluster_(cluster), name_(std::move(name)) {}

  [[nodiscard]] std::vector<Step> steps() {
    return {
        [this] { volume_ = cluster_.create(name_); },
        [this] { expect_ok(cluster_.stage(volume_)); },
        [this] { expect_ok(cluster_.publish(volume_, pod(1))); },
        [this] { expect_ok(cluster_.publish(volume_, pod(2))); },
        [this] { write_and_read(); },
        [this] { expand(); },
        [this] { stats(); },
        [this] { expect_ok(cluster_.unpublish(volume_, pod(1))); },
        [this] { expect_ok(cluster_.unpublish(volume_, pod(2))); },
        [this] { expect_ok(cluster_.unstage(volume_)); },
        [this] { cluster_.remove(volume_); },
    };
  }
  void expect_gone() const {
    EXPECT_FALSE(stdfs::exists(cluster_.exported() / name_));
    EXPECT_FALSE(stdfs::exists(cluster_.target(pod(1))));
    EXPECT_FALSE(stdfs::exists(cluster_.target(pod(2))));
    EXPECT_EQ(cluster_.mounts_at(cluster_.staging(volume_)), 0U);
    EXPECT_FALSE(stdfs::exists(cluster_.exported() / ".holdfast-csi" / (name_ + ".volume")));
  }
  [[nodiscard]] std::string pod(int n) const { return name_ + "-pod-" + std::to_string(n); }

 private:
  void write_and_read() {
    std::ofstream(cluster_.target(pod(1)) + "/greeting") << "hello";
    EXPECT_EQ(contents(cluster_.target(pod(2)) + "/greeting"), "hello");
    EXPECT_EQ(contents(cluster_.exported() / name_ / "greeting"), "hello");
  }
  void expand() {
    pb::ControllerExpandVolumeRequest request;
    pb::ControllerExpandVolumeResponse response;
    request.set_volume_id(volume_.volume_id());
    request.mutable_capacity_range()->set_required_bytes(2LL << 30);
    expect_ok(cluster_.call(&pb::Controller::Stub::ControllerExpandVolume, request, &response));
    EXPECT_EQ(response.capacity_bytes(), 2LL << 30);
    EXPECT_FALSE(response.node_expansion_required());
  }
  void stats() {
    const auto response = cluster_.stats_when_well(volume_, pod(1));
    ASSERT_EQ(response.usage_size(), 2);
    EXPECT_EQ(response.usage(0).unit(), pb::VolumeUsage::BYTES);
    EXPECT_GT(response.usage(0).total(), 0);
    EXPECT_GT(response.usage(0).available(), 0);
    EXPECT_EQ(response.usage(1).unit(), pb::VolumeUsage::INODES);
    EXPECT_GT(response.usage(1).total(), 0);
  }

  Orchestrator& cluster_;
  const std::string name_;
  pb::Volume volume_;
};

TEST(LifecycleTest, EveryStepOnceAndEveryStepTwice) {
  Orchestrator cluster(servers());
  Life life(cluster, "life-1");
  for (const auto& step : life.steps()) {
    step();
    step();
  }
  life.expect_gone();
}

TEST(LifecycleTest, TheDriverIsKilledBetweenAnyTwoSteps) {
  Orchestrator cluster(servers());
  Life life(cluster, "life-2");
  for (const auto& step : life.steps()) {
    step();
    cluster.restart_driver();
    step();
  }
  life.expect_gone();
}

TEST(LifecycleTest, TheDriverIsKilledInTheMiddleOfEveryStep) {
  Orchestrator cluster(servers());
  for (const int ms : {2, 12, 60}) {
    Life life(cluster, "life-3-" + std::to_string(ms));
    for (const auto& step : life.steps()) {
      // The caller waits, and asks again when nobody answers any more, as kubelet does.
      std::thread caller(step);
      std::this_thread::sleep_for(std::chrono::milliseconds(ms));
      cluster.restart_driver();
      caller.join();
    }
    life.expect_gone();
  }
}

TEST(LifecycleTest, SeveralVolumesAndSeveralCallersAtOnce) {
  Orchestrator cluster(servers());
  constexpr int kVolumes = 4;
  std::vector<std::thread> callers;
  for (int n = 0; n < kVolumes; ++n) {
    callers.emplace_back([&cluster, n] {
      Life life(cluster, "life-4-" + std::to_string(n));
      for (const auto& step : life.steps())
        step();
      life.expect_gone();
    });
  }
  for (auto& caller : callers)
    caller.join();
}

TEST(LifecycleTest, OneVolumeWithManyCallersIsMountedAndBoundOnce) {
  Orchestrator cluster(servers());
  const auto at_once = [](const std::function<void()>& work) {
    std::vector<std::thread> callers;
    for (int n = 0; n < 4; ++n)
      callers.emplace_back(work);
    for (auto& caller : callers)
      caller.join();
  };
  at_once([&] { static_cast<void>(cluster.create("life-5")); });
  const auto volume = cluster.create("life-5");
  at_once([&] { expect_ok(cluster.stage(volume)); });
  EXPECT_EQ(cluster.mounts_at(cluster.staging(volume)), 1U);
  EXPECT_EQ(cluster.mount_processes().size(), 1U);
  at_once([&] { expect_ok(cluster.publish(volume, "p")); });
  EXPECT_EQ(cluster.mounts_at(cluster.target("p")), 1U);
  at_once([&] { expect_ok(cluster.unpublish(volume, "p")); });
  at_once([&] { expect_ok(cluster.unstage(volume)); });
  at_once([&] { cluster.remove(volume); });
  EXPECT_EQ(cluster.mount_processes().size(), 0U);
  EXPECT_FALSE(stdfs::exists(cluster.exported() / "life-5"));
}

}  // namespace
}  // namespace holdfast::csi::testing
