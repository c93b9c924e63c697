#include "tests/csi/orchestrator.h"

#include "deploy/csi/core/mount_table.h"
#include "deploy/csi/node/mounts.h"
#include "holdfast/wire/address.h"
#include "tests/csi/sealed.h"

#include <chrono>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

namespace holdfast::csi::testing {
namespace {

constexpr std::chrono::milliseconds kPause{20};
constexpr std::chrono::seconds kCallMax{60};

stdfs::path make_base() {
  std::string pattern = (stdfs::temp_directory_path() / "holdfast-kubelet-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  return pattern;
}

std::shared_ptr<grpc::Channel> channel(const stdfs::path& base) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix:" + (base / "csi.sock").string(),
                                   grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

Orchestrator::Orchestrator(Servers& servers)
    : servers_(servers),
      base_(make_base()),
      keeper_({HOLDFAST_CSI_KEEPER, "--socket", (base_ / "keeper.sock").string(), "--holdfast",
               HOLDFAST},
              (base_ / "keeper.log").string()),
      driver_(
          {HOLDFAST_CSI, "--endpoint", "unix://" + (base_ / "csi.sock").string(), "--node-id",
           "node-1", "--keeper", (base_ / "keeper.sock").string(), "--lockd",
           wire::to_string(servers.lockd.address()), "--probe-max", "3", "--log-level", "debug"},
          (base_ / "driver.log").string()) {
  stdfs::create_directories(base_ / "plugins");
  stdfs::create_directories(base_ / "pods");
  start_keeper();
  start_driver();
}

Orchestrator::~Orchestrator() {
  driver_.end(SIGKILL);
  for (const auto& entry : stdfs::directory_iterator(base_ / "plugins"))
    EXPECT_EQ(mounts_at(entry.path() / "globalmount"), 0U) << entry.path();
  // Whatever happened: no mount may outlive its servers.
  for (const pid_t pid : mount_processes())
    ::kill(pid, SIGKILL);
  keeper_.end(SIGKILL);
  for (const std::string part : {"plugins", "pods"})
    for (const auto& entry : stdfs::directory_iterator(base_ / part))
      for (const std::string place : {"globalmount", "mount"})
        ::umount2((entry.path() / place).c_str(), MNT_DETACH);
  for (const std::string log : {"keeper.log", "driver.log"})
    EXPECT_EQ(contents(base_ / log).find(" error "), std::string::npos) << contents(base_ / log);
  if (::testing::Test::HasFailure()) {
    std::fputs(contents(base_ / "driver.log").c_str(), stderr);
    for (const auto& entry : stdfs::directory_iterator(kMountLogs))
      std::fputs((entry.path().string() + ":\n" + contents(entry.path())).c_str(), stderr);
  }
  stdfs::remove_all(base_);
}

void Orchestrator::start_driver() {
  driver_.start();
}

void Orchestrator::start_keeper() {
  stdfs::remove(base_ / "keeper.sock");
  keeper_.start();
  while (!stdfs::exists(base_ / "keeper.sock"))
    pause();
}

template <>
std::unique_ptr<pb::Identity::Stub> Orchestrator::stub() {
  return pb::Identity::NewStub(channel(base_));
}
template <>
std::unique_ptr<pb::Controller::Stub> Orchestrator::stub() {
  return pb::Controller::NewStub(channel(base_));
}
template <>
std::unique_ptr<pb::Node::Stub> Orchestrator::stub() {
  return pb::Node::NewStub(channel(base_));
}

bool Orchestrator::means_again(const grpc::Status& status) {
  const auto code = status.error_code();
  return code == grpc::StatusCode::ABORTED || code == grpc::StatusCode::UNAVAILABLE;
}

void Orchestrator::pause() {
  std::this_thread::sleep_for(kPause);
}

void Orchestrator::set_deadline(grpc::ClientContext& context) {
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                    gpr_time_from_seconds(kCallMax.count(), GPR_TIMESPAN)));
}

Texts Orchestrator::parameters(const Texts& more) const {
  Texts out{{"server", "127.0.0.1"}, {"share", "/export"}};
  for (const auto& [key, value] : more)
    out[key] = value;
  return out;
}

pb::CreateVolumeRequest Orchestrator::create_request(const std::string& name,
                                                     const Texts& more) const {
  pb::CreateVolumeRequest out;
  out.set_name(name);
  out.mutable_capacity_range()->set_required_bytes(1 << 30);
  *out.add_volume_capabilities() = capability(Mode::MULTI_NODE_MULTI_WRITER);
  for (const auto& [key, value] : parameters(more))
    (*out.mutable_parameters())[key] = value;
  return out;
}

pb::Volume Orchestrator::create(const std::string& name, const Texts& more) {
  pb::CreateVolumeResponse response;
  const auto status =
      call(&pb::Controller::Stub::CreateVolume, create_request(name, more), &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.volume();
}

void Orchestrator::remove(const pb::Volume& volume) {
  pb::DeleteVolumeRequest request;
  request.set_volume_id(volume.volume_id());
  const auto status = call(&pb::Controller::Stub::DeleteVolume, request);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

std::string Orchestrator::staging(const pb::Volume& volume) const {
  const auto hash = std::to_string(std::hash<std::string>()(volume.volume_id()));
  return base_ / "plugins" / hash / "globalmount";
}

std::string Orchestrator::target(const std::string& pod) const {
  return base_ / "pods" / pod / "mount";
}

pb::NodeStageVolumeRequest Orchestrator::stage_request(const pb::Volume& volume) const {
  pb::NodeStageVolumeRequest out;
  out.set_volume_id(volume.volume_id());
  out.set_staging_target_path(staging(volume));
  *out.mutable_volume_capability() = capability(Mode::MULTI_NODE_MULTI_WRITER);
  *out.mutable_volume_context() = volume.volume_context();
  return out;
}

pb::NodePublishVolumeRequest Orchestrator::publish_request(const pb::Volume& volume,
                                                           const std::string& pod) const {
  pb::NodePublishVolumeRequest out;
  out.set_volume_id(volume.volume_id());
  out.set_staging_target_path(staging(volume));
  out.set_target_path(target(pod));
  *out.mutable_volume_capability() = capability(Mode::MULTI_NODE_MULTI_WRITER);
  *out.mutable_volume_context() = volume.volume_context();
  return out;
}

grpc::Status Orchestrator::stage(const pb::Volume& volume) {
  stdfs::create_directories(stdfs::path(staging(volume)).parent_path());
  return call(&pb::Node::Stub::NodeStageVolume, stage_request(volume));
}

grpc::Status Orchestrator::publish(const pb::Volume& volume, const std::string& pod) {
  stdfs::create_directories(stdfs::path(target(pod)).parent_path());
  return call(&pb::Node::Stub::NodePublishVolume, publish_request(volume, pod));
}

grpc::Status Orchestrator::unpublish(const pb::Volume& volume, const std::string& pod) {
  pb::NodeUnpublishVolumeRequest request;
  request.set_volume_id(volume.volume_id());
  request.set_target_path(target(pod));
  return call(&pb::Node::Stub::NodeUnpublishVolume, request);
}

grpc::Status Orchestrator::unstage(const pb::Volume& volume) {
  pb::NodeUnstageVolumeRequest request;
  request.set_volume_id(volume.volume_id());
  request.set_staging_target_path(staging(volume));
  return call(&pb::Node::Stub::NodeUnstageVolume, request);
}

grpc::Status Orchestrator::stats(const pb::Volume& volume, const std::string& pod,
                                 pb::NodeGetVolumeStatsResponse* out) {
  pb::NodeGetVolumeStatsRequest request;
  request.set_volume_id(volume.volume_id());
  request.set_volume_path(target(pod));
  return call(&pb::Node::Stub::NodeGetVolumeStats, request, out);
}

pb::NodeGetVolumeStatsResponse Orchestrator::stats_when_well(const pb::Volume& volume,
                                                             const std::string& pod) {
  pb::NodeGetVolumeStatsResponse out;
  for (unsigned attempt = 0; attempt < 100; ++attempt) {
    out.Clear();
    const auto status = stats(volume, pod, &out);
    EXPECT_TRUE(status.ok()) << status.error_message();
    if (!status.ok() || !out.volume_condition().abnormal()) break;
    pause();
  }
  EXPECT_FALSE(out.volume_condition().abnormal()) << out.volume_condition().message();
  return out;
}

unsigned Orchestrator::mounts_at(const std::string& path) const {
  std::ifstream table("/proc/self/mountinfo");
  unsigned count = 0;
  for (std::string line; std::getline(table, line);)
    count += line.find(" " + path + " ") != std::string::npos ? 1 : 0;
  return count;
}

std::vector<pid_t> Orchestrator::mount_processes() const {
  std::vector<pid_t> out;
  for (const auto& entry : stdfs::directory_iterator("/proc")) {
    const std::string command = contents(entry.path() / "cmdline");
    if (command.find(base_.string()) != std::string::npos &&
        command.starts_with(std::string(HOLDFAST) + '\0' + "mount"))
      out.push_back(std::stoi(entry.path().filename()));
  }
  return out;
}

pb::VolumeCapability capability(Mode::Mode mode) {
  pb::VolumeCapability out;
  out.mutable_mount();
  out.mutable_access_mode()->set_mode(mode);
  return out;
}

std::string contents(const stdfs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace holdfast::csi::testing
