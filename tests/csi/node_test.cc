// A node under trouble: access modes, mounts that die or hang, a keeper that is away.

#include "deploy/csi/keeper/client.h"
#include "holdfast/wire/address.h"
#include "tests/csi/expect.h"
#include "tests/csi/servers.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::csi::testing {
namespace {

using grpc::StatusCode;

int error_of_writing(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT, 0644);
  if (file < 0) return errno;
  ::close(file);
  return 0;
}

class NodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    volume_ = cluster_.create(::testing::UnitTest::GetInstance()->current_test_info()->name());
  }
  /// Kubelet's way out, whatever the test did.
  void TearDown() override {
    for (const std::string pod : {"p", "q"})
      expect_ok(cluster_.unpublish(volume_, pod));
    expect_ok(cluster_.unstage(volume_));
    cluster_.remove(volume_);
  }
  grpc::Status publish_as(const std::string& pod, Mode::Mode mode, bool read_only = false) {
    auto request = cluster_.publish_request(volume_, pod);
    *request.mutable_volume_capability() = capability(mode);
    request.set_readonly(read_only);
    stdfs::create_directories(stdfs::path(request.target_path()).parent_path());
    return cluster_.call(&pb::Node::Stub::NodePublishVolume, request);
  }
  void signal_mounts(int number) {
    const auto pids = cluster_.mount_processes();
    EXPECT_FALSE(pids.empty());
    for (const pid_t pid : pids)
      ::kill(pid, number);
  }
  std::string in(const std::string& pod, const std::string& name) {
    return cluster_.target(pod) + "/" + name;
  }

  Orchestrator cluster_{servers()};
  pb::Volume volume_;
};

TEST_F(NodeTest, ReadOnlyPublishingIsReadOnlyForThatPodAlone) {
  expect_ok(cluster_.stage(volume_));
  expect_ok(publish_as("p", Mode::MULTI_NODE_MULTI_WRITER));
  expect_ok(publish_as("q", Mode::MULTI_NODE_MULTI_WRITER, true));
  EXPECT_EQ(error_of_writing(in("p", "a")), 0);
  EXPECT_EQ(error_of_writing(in("q", "b")), EROFS);
  // Repeats succeed; other wishes for the same place do not.
  expect_ok(publish_as("q", Mode::MULTI_NODE_MULTI_WRITER, true));
  expect_code(publish_as("q", Mode::MULTI_NODE_MULTI_WRITER), StatusCode::ALREADY_EXISTS);
  expect_code(publish_as("p", Mode::MULTI_NODE_MULTI_WRITER, true), StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(error_of_writing(in("p", "c")), 0);
}

TEST_F(NodeTest, AReadersVolumeIsReadOnlyThroughout) {
  auto request = cluster_.stage_request(volume_);
  *request.mutable_volume_capability() = capability(Mode::MULTI_NODE_READER_ONLY);
  // Somebody must have written the volume's marker before: a reader may not.
  expect_ok(cluster_.stage(volume_));
  expect_code(cluster_.call(&pb::Node::Stub::NodeStageVolume, request), StatusCode::ALREADY_EXISTS);
  expect_ok(cluster_.unstage(volume_));
  expect_ok(cluster_.call(&pb::Node::Stub::NodeStageVolume, request));
  expect_code(cluster_.stage(volume_), StatusCode::ALREADY_EXISTS);
  expect_ok(publish_as("p", Mode::MULTI_NODE_READER_ONLY));
  EXPECT_EQ(error_of_writing(in("p", "a")), EROFS);
}

TEST_F(NodeTest, OnePodAtATimeWhereThatWasAskedFor) {
  expect_ok(cluster_.stage(volume_));
  expect_ok(publish_as("p", Mode::SINGLE_NODE_SINGLE_WRITER));
  expect_ok(publish_as("p", Mode::SINGLE_NODE_SINGLE_WRITER));
  expect_code(publish_as("q", Mode::SINGLE_NODE_SINGLE_WRITER), StatusCode::FAILED_PRECONDITION);
  expect_ok(cluster_.unpublish(volume_, "p"));
  expect_ok(publish_as("q", Mode::SINGLE_NODE_SINGLE_WRITER));
}

TEST_F(NodeTest, OtherVolumesArePublishedElsewhere) {
  const auto other = cluster_.create("other-volume");
  expect_ok(cluster_.stage(volume_));
  expect_ok(cluster_.publish(volume_, "p"));
  auto request = cluster_.stage_request(other);
  request.set_staging_target_path(cluster_.staging(volume_));
  expect_code(cluster_.call(&pb::Node::Stub::NodeStageVolume, request), StatusCode::ALREADY_EXISTS);
  expect_ok(cluster_.stage(other));
  expect_code(cluster_.publish(other, "p"), StatusCode::ALREADY_EXISTS);
  pb::NodeGetVolumeStatsResponse response;
  expect_code(cluster_.stats(other, "p", &response), StatusCode::NOT_FOUND);
  expect_ok(cluster_.unstage(other));
  cluster_.remove(other);
}

TEST_F(NodeTest, MountsAndOpenFilesOutliveTheDriver) {
  expect_ok(cluster_.stage(volume_));
  expect_ok(cluster_.publish(volume_, "p"));
  const auto before = cluster_.mount_processes();
  std::ofstream file(in("p", "log"));
  file << "one\n" << std::flush;
  cluster_.kill_driver();
  file << "two\n" << std::flush;
  EXPECT_EQ(contents(in("p", "log")), "one\ntwo\n");
  cluster_.start_driver();
  expect_ok(cluster_.stage(volume_));
  EXPECT_EQ(cluster_.mount_processes(), before);
  file << "three\n" << std::flush;
  EXPECT_TRUE(file.good());
  file.close();  // what is in use is not unmounted
}

TEST_F(NodeTest, ADeadMountIsReportedAndReplacedAtTheNextPublishing) {
  expect_ok(cluster_.stage(volume_));
  expect_ok(cluster_.publish(volume_, "p"));
  std::ofstream(in("p", "kept")) << "kept";
  signal_mounts(SIGKILL);
  pb::NodeGetVolumeStatsResponse response;
  const auto is_known_dead = [&] {
    return response.volume_condition().message().find("died") != std::string::npos;
  };
  for (int i = 0; i < 100 && !is_known_dead(); ++i)
    expect_ok(cluster_.stats(volume_, "p", &response));
  EXPECT_TRUE(is_known_dead()) << response.volume_condition().message();
  EXPECT_TRUE(response.volume_condition().abnormal());
  // Kubernetes repeats this for pods that run (requiresRepublish).
  expect_ok(cluster_.publish(volume_, "p"));
  EXPECT_EQ(contents(in("p", "kept")), "kept");
  EXPECT_EQ(cluster_.mounts_at(cluster_.target("p")), 1U);
  EXPECT_EQ(cluster_.mounts_at(cluster_.staging(volume_)), 1U);
  static_cast<void>(cluster_.stats_when_well(volume_, "p"));
}

TEST_F(NodeTest, ADeadMountIsTakenAwayByUnpublishAndUnstage) {
  expect_ok(cluster_.stage(volume_));
  expect_ok(cluster_.publish(volume_, "p"));
  signal_mounts(SIGKILL);
  expect_ok(cluster_.unpublish(volume_, "p"));
  expect_ok(cluster_.unstage(volume_));
  EXPECT_EQ(cluster_.mounts_at(cluster_.staging(volume_)), 0U);
}

TEST_F(NodeTest, AHangingMountIsReportedAndHangsNobody) {
  expect_ok(cluster_.stage(volume_));
  expect_ok(cluster_.publish(volume_, "p"));
  signal_mounts(SIGSTOP);
  pb::NodeGetVolumeStatsResponse response;
  for (int i = 0; i < 3; ++i) {
    response.Clear();
    expect_ok(cluster_.stats(volume_, "p", &response));
    EXPECT_TRUE(response.volume_condition().abnormal());
    EXPECT_NE(response.volume_condition().message().find("does not answer"), std::string::npos);
  }
  // Neither does it hinder other pods, nor the driver's end.
  expect_ok(cluster_.publish(volume_, "q"));
  expect_ok(cluster_.unpublish(volume_, "q"));
  cluster_.restart_driver();
  signal_mounts(SIGCONT);
  static_cast<void>(cluster_.stats_when_well(volume_, "p"));
}

TEST_F(NodeTest, AStorageThatIsAwayIsReported) {
  expect_ok(cluster_.stage(volume_));
  expect_ok(cluster_.publish(volume_, "p"));
  cluster_.servers().nfs.stop();
  pb::NodeGetVolumeStatsResponse response;
  expect_ok(cluster_.stats(volume_, "p", &response));
  EXPECT_TRUE(response.volume_condition().abnormal());
  cluster_.servers().nfs.start();
  static_cast<void>(cluster_.stats_when_well(volume_, "p"));
}

TEST_F(NodeTest, WithoutAKeeperNothingIsMountedAndItIsSaid) {
  cluster_.keeper().end(SIGKILL);
  const auto request = cluster_.stage_request(volume_);
  stdfs::create_directories(stdfs::path(request.staging_target_path()).parent_path());
  pb::NodeStageVolumeResponse response;
  grpc::Status status;
  std::thread caller([&] { status = cluster_.call(&pb::Node::Stub::NodeStageVolume, request); });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  cluster_.start_keeper();  // the caller repeats UNAVAILABLE
  caller.join();
  expect_ok(status);
}

TEST_F(NodeTest, TheKeeperMountsOnceHoweverManyAsk) {
  const std::string place = cluster_.staging(volume_);
  stdfs::create_directories(place);
  const std::string options = "lockd=" + wire::to_string(cluster_.servers().lockd.address());
  std::atomic<int> mounted = 0;
  std::vector<std::thread> callers;
  for (int n = 0; n < 4; ++n) {
    callers.emplace_back([&] {
      const auto answer = ask_keeper(
          cluster_.keeper_socket(),
          {"mount", "127.0.0.1:/export/" + volume_.volume_context().at("subDir"), place, options},
          std::chrono::minutes(1));
      ASSERT_TRUE(answer) << answer.error().what;
      mounted += answer->exit_code == 0 ? 1 : 0;
    });
  }
  for (auto& caller : callers)
    caller.join();
  EXPECT_EQ(mounted, 1);
  EXPECT_EQ(cluster_.mounts_at(place), 1U);
  expect_ok(cluster_.stage(volume_));
}

TEST_F(NodeTest, AKeeperThatDiedLeavesMountsThatCanBeUsedAndEnded) {
  expect_ok(cluster_.stage(volume_));
  cluster_.keeper().end(SIGKILL);
  expect_ok(cluster_.publish(volume_, "p"));
  EXPECT_EQ(error_of_writing(in("p", "a")), 0);
  expect_ok(cluster_.unpublish(volume_, "p"));
  expect_ok(cluster_.unstage(volume_));
  EXPECT_EQ(cluster_.mounts_at(cluster_.staging(volume_)), 0U);
  cluster_.start_keeper();
}

TEST_F(NodeTest, WrongMountOptionsAreSaidInThePodsEvent) {
  auto request = cluster_.stage_request(volume_);
  stdfs::create_directories(stdfs::path(request.staging_target_path()).parent_path());
  request.mutable_volume_capability()->mutable_mount()->add_mount_flags("nfsvers=4.1");
  const auto status = cluster_.call(&pb::Node::Stub::NodeStageVolume, request);
  expect_code(status, StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(status.error_message().find("nfsvers"), std::string::npos) << status.error_message();
}

TEST_F(NodeTest, AVolumeMadeByHandIsMountedByItsAttributes) {
  stdfs::create_directories(cluster_.exported() / "old" / "provisioned");
  std::ofstream(cluster_.exported() / "old" / "provisioned" / "data") << "still here";
  pb::Volume volume;
  volume.set_volume_id("moved-from-nfs-client");
  for (const auto& [key, value] : cluster_.parameters({{"subDir", "old/provisioned"}}))
    (*volume.mutable_volume_context())[key] = value;
  expect_ok(cluster_.stage(volume));
  expect_ok(cluster_.publish(volume, "r"));
  EXPECT_EQ(contents(in("r", "data")), "still here");
  expect_ok(cluster_.unpublish(volume, "r"));
  expect_ok(cluster_.unstage(volume));
  cluster_.remove(volume);
  EXPECT_TRUE(stdfs::exists(cluster_.exported() / "old" / "provisioned" / "data"));
  stdfs::remove_all(cluster_.exported() / "old");
}

}  // namespace
}  // namespace holdfast::csi::testing
