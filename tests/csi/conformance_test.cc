// What CSI demands of every driver: the required fields of each call, volumes nobody knows, repeats
// that differ.

#include "tests/csi/expect.h"
#include "tests/csi/servers.h"

#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::csi::testing {
namespace {

using grpc::StatusCode;

class ConformanceTest : public ::testing::Test {
 protected:
  /// Field by field: without it the call is wrong, with all of them it is not.
  template <class Stub, class Request, class Response>
  void expect_required(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                    Response*),
                       const Request& whole, const std::vector<void (Request::*)()>& clears) {
    for (std::size_t i = 0; i < clears.size(); ++i) {
      SCOPED_TRACE("required field " + std::to_string(i));
      Request request = whole;
      (request.*clears[i])();
      expect_code(cluster_.call(method, request), StatusCode::INVALID_ARGUMENT);
    }
    expect_code(cluster_.call(method, Request()), StatusCode::INVALID_ARGUMENT);
  }
  grpc::Status create(const pb::CreateVolumeRequest& request) {
    return cluster_.call(&pb::Controller::Stub::CreateVolume, request);
  }
  grpc::Status create_with(const Texts& parameters) {
    return create(cluster_.create_request("refused", parameters));
  }

  Orchestrator cluster_{servers()};
};

TEST_F(ConformanceTest, SaysWhoItIsAndWhatItCan) {
  pb::GetPluginInfoResponse info;
  expect_ok(cluster_.call(&pb::Identity::Stub::GetPluginInfo, pb::GetPluginInfoRequest(), &info));
  EXPECT_EQ(info.name(), "csi.holdfast.io");
  EXPECT_FALSE(info.vendor_version().empty());
  pb::GetPluginCapabilitiesResponse plugin;
  expect_ok(cluster_.call(&pb::Identity::Stub::GetPluginCapabilities,
                          pb::GetPluginCapabilitiesRequest(), &plugin));
  EXPECT_EQ(plugin.capabilities(0).service().type(),
            pb::PluginCapability::Service::CONTROLLER_SERVICE);
  pb::ProbeResponse probe;
  expect_ok(cluster_.call(&pb::Identity::Stub::Probe, pb::ProbeRequest(), &probe));
  EXPECT_TRUE(probe.ready().value());
  pb::NodeGetInfoResponse node;
  expect_ok(cluster_.call(&pb::Node::Stub::NodeGetInfo, pb::NodeGetInfoRequest(), &node));
  EXPECT_EQ(node.node_id(), "node-1");
  pb::ControllerGetCapabilitiesResponse controller;
  expect_ok(cluster_.call(&pb::Controller::Stub::ControllerGetCapabilities,
                          pb::ControllerGetCapabilitiesRequest(), &controller));
  EXPECT_EQ(controller.capabilities_size(), 4);
  pb::NodeGetCapabilitiesResponse node_can;
  expect_ok(cluster_.call(&pb::Node::Stub::NodeGetCapabilities, pb::NodeGetCapabilitiesRequest(),
                          &node_can));
  EXPECT_EQ(node_can.capabilities_size(), 4);
}

TEST_F(ConformanceTest, EveryRequiredFieldIsMissed) {
  const auto volume = cluster_.create("required");
  using Create = pb::CreateVolumeRequest;
  expect_required(
      &pb::Controller::Stub::CreateVolume, cluster_.create_request("r"),
      {&Create::clear_name, &Create::clear_volume_capabilities, &Create::clear_parameters});
  using Delete = pb::DeleteVolumeRequest;
  expect_required(&pb::Controller::Stub::DeleteVolume, Delete(), {&Delete::clear_volume_id});
  pb::ValidateVolumeCapabilitiesRequest validate;
  validate.set_volume_id(volume.volume_id());
  *validate.add_volume_capabilities() = capability(Mode::MULTI_NODE_MULTI_WRITER);
  using Validate = pb::ValidateVolumeCapabilitiesRequest;
  expect_required(&pb::Controller::Stub::ValidateVolumeCapabilities, validate,
                  {&Validate::clear_volume_id, &Validate::clear_volume_capabilities});
  pb::ControllerExpandVolumeRequest expand;
  expand.set_volume_id(volume.volume_id());
  expand.mutable_capacity_range()->set_required_bytes(1);
  using Expand = pb::ControllerExpandVolumeRequest;
  expect_required(&pb::Controller::Stub::ControllerExpandVolume, expand,
                  {&Expand::clear_volume_id, &Expand::clear_capacity_range});
  using Stage = pb::NodeStageVolumeRequest;
  expect_required(&pb::Node::Stub::NodeStageVolume, cluster_.stage_request(volume),
                  {&Stage::clear_volume_id, &Stage::clear_staging_target_path,
                   &Stage::clear_volume_capability});
  using Publish = pb::NodePublishVolumeRequest;
  expect_required(&pb::Node::Stub::NodePublishVolume, cluster_.publish_request(volume, "p"),
                  {&Publish::clear_volume_id, &Publish::clear_staging_target_path,
                   &Publish::clear_target_path, &Publish::clear_volume_capability});
  pb::NodeUnstageVolumeRequest unstage;
  unstage.set_volume_id(volume.volume_id());
  unstage.set_staging_target_path("/s");
  using Unstage = pb::NodeUnstageVolumeRequest;
  expect_required(&pb::Node::Stub::NodeUnstageVolume, unstage,
                  {&Unstage::clear_volume_id, &Unstage::clear_staging_target_path});
  pb::NodeUnpublishVolumeRequest unpublish;
  unpublish.set_volume_id(volume.volume_id());
  unpublish.set_target_path("/t");
  using Unpublish = pb::NodeUnpublishVolumeRequest;
  expect_required(&pb::Node::Stub::NodeUnpublishVolume, unpublish,
                  {&Unpublish::clear_volume_id, &Unpublish::clear_target_path});
  pb::NodeGetVolumeStatsRequest stats;
  stats.set_volume_id(volume.volume_id());
  stats.set_volume_path("/t");
  using Stats = pb::NodeGetVolumeStatsRequest;
  expect_required(&pb::Node::Stub::NodeGetVolumeStats, stats,
                  {&Stats::clear_volume_id, &Stats::clear_volume_path});
  cluster_.remove(volume);
}

TEST_F(ConformanceTest, VolumesNobodyKnows) {
  for (const std::string id : {"some-volume", "127.0.0.1#/export#nothing#nothing"}) {
    SCOPED_TRACE(id);
    pb::Volume volume;
    volume.set_volume_id(id);
    cluster_.remove(volume);  // counts as removed
    pb::ValidateVolumeCapabilitiesRequest validate;
    validate.set_volume_id(id);
    *validate.add_volume_capabilities() = capability(Mode::SINGLE_NODE_WRITER);
    expect_code(cluster_.call(&pb::Controller::Stub::ValidateVolumeCapabilities, validate),
                StatusCode::NOT_FOUND);
    pb::ControllerExpandVolumeRequest expand;
    expand.set_volume_id(id);
    expand.mutable_capacity_range()->set_required_bytes(1);
    expect_code(cluster_.call(&pb::Controller::Stub::ControllerExpandVolume, expand),
                StatusCode::NOT_FOUND);
    pb::NodeGetVolumeStatsRequest stats;
    stats.set_volume_id(id);
    for (const std::string path : {"some/path", "/some/path", "/proc"}) {
      stats.set_volume_path(path);
      expect_code(cluster_.call(&pb::Node::Stub::NodeGetVolumeStats, stats), StatusCode::NOT_FOUND);
    }
    expect_ok(cluster_.unpublish(volume, "nobody"));
    expect_ok(cluster_.unstage(volume));
  }
  pb::Volume unknown;
  unknown.set_volume_id("some-volume");
  expect_code(cluster_.stage(unknown), StatusCode::NOT_FOUND);
  expect_code(cluster_.publish(unknown, "p"), StatusCode::NOT_FOUND);
}

TEST_F(ConformanceTest, TheSameNameWithOtherWishes) {
  const auto volume = cluster_.create("twice");
  auto again = cluster_.create_request("twice");
  expect_ok(create(again));
  again.mutable_capacity_range()->set_required_bytes(2LL << 30);
  again.mutable_capacity_range()->set_limit_bytes(2LL << 30);
  expect_code(create(again), StatusCode::ALREADY_EXISTS);
  expect_code(create(cluster_.create_request("twice", {{"subDir", "other"}})),
              StatusCode::ALREADY_EXISTS);
  expect_code(create(cluster_.create_request("other", {{"subDir", "twice/inside"}})),
              StatusCode::ALREADY_EXISTS);
  cluster_.remove(volume);
}

TEST_F(ConformanceTest, NamesOfAnyKindAndLength) {
  for (const std::string& name : {std::string(128, 'n'), std::string("a/../../b"),
                                  std::string(".."), std::string("Gr\xc3\xb6\xc3\x9f e#%\n")}) {
    SCOPED_TRACE(name);
    const auto volume = cluster_.create(name);
    EXPECT_EQ(cluster_.create(name).volume_id(), volume.volume_id());
    EXPECT_LE(volume.volume_id().size(), 128U);
    cluster_.remove(volume);
  }
  expect_code(create(cluster_.create_request(std::string(129, 'n'))), StatusCode::INVALID_ARGUMENT);
  expect_code(create(cluster_.create_request("a\x01")), StatusCode::INVALID_ARGUMENT);
  // Its id would be longer than CSI allows; nobody is asked for it first.
  expect_code(create_with({{"server", std::string(120, 's')}}), StatusCode::INVALID_ARGUMENT);
  for (const auto& entry : stdfs::directory_iterator(cluster_.exported()))
    EXPECT_TRUE(entry.path().filename().string().starts_with(".holdfast")) << entry.path();
}

TEST_F(ConformanceTest, WrongWishes) {
  const auto invalid = StatusCode::INVALID_ARGUMENT;
  for (const Texts& parameters :
       {Texts{{"server", ""}}, Texts{{"server", "-o"}}, Texts{{"share", "export"}},
        Texts{{"share", "/export/../etc"}}, Texts{{"subDir", "../x"}}, Texts{{"subDir", "/"}},
        Texts{{"subDir", ".holdfast-csi"}}, Texts{{"onDelete", "burn"}}, Texts{{"colour", "blue"}},
        Texts{{"mountOptions", "log=/etc/passwd"}}}) {
    SCOPED_TRACE(parameters.begin()->first + "=" + parameters.begin()->second);
    expect_code(create_with(parameters), invalid);
  }
  expect_code(create_with({{"share", "/not/exported"}}), StatusCode::PERMISSION_DENIED);
  auto block = cluster_.create_request("refused");
  block.mutable_volume_capabilities(0)->mutable_block();
  expect_code(create(block), invalid);
  auto unknown_mode = cluster_.create_request("refused");
  unknown_mode.mutable_volume_capabilities(0)->mutable_access_mode()->set_mode(
      static_cast<Mode::Mode>(99));
  expect_code(create(unknown_mode), invalid);
  auto copy = cluster_.create_request("refused");
  copy.mutable_volume_content_source()->mutable_snapshot()->set_snapshot_id("s");
  expect_code(create(copy), invalid);
  copy.mutable_volume_content_source()->mutable_volume()->set_volume_id("v");
  expect_code(create(copy), invalid);
  auto sizes = cluster_.create_request("refused");
  sizes.mutable_capacity_range()->set_limit_bytes(1);
  expect_code(create(sizes), StatusCode::OUT_OF_RANGE);
  sizes.mutable_capacity_range()->set_required_bytes(-1);
  expect_code(create(sizes), invalid);
}

TEST_F(ConformanceTest, CapabilitiesAreConfirmedOrRefusedWithAReason) {
  const auto volume = cluster_.create("capabilities");
  pb::ValidateVolumeCapabilitiesRequest request;
  request.set_volume_id(volume.volume_id());
  for (int mode = Mode::SINGLE_NODE_WRITER; mode <= Mode::SINGLE_NODE_MULTI_WRITER; ++mode)
    *request.add_volume_capabilities() = capability(static_cast<Mode::Mode>(mode));
  pb::ValidateVolumeCapabilitiesResponse response;
  expect_ok(cluster_.call(&pb::Controller::Stub::ValidateVolumeCapabilities, request, &response));
  EXPECT_EQ(response.confirmed().volume_capabilities_size(), 7);
  request.add_volume_capabilities()->mutable_block();
  response.Clear();
  expect_ok(cluster_.call(&pb::Controller::Stub::ValidateVolumeCapabilities, request, &response));
  EXPECT_FALSE(response.has_confirmed());
  EXPECT_FALSE(response.message().empty());
  cluster_.remove(volume);
}

TEST_F(ConformanceTest, CapacityIsThatOfTheExport) {
  pb::GetCapacityRequest request;
  pb::GetCapacityResponse response;
  expect_ok(cluster_.call(&pb::Controller::Stub::GetCapacity, request, &response));
  for (const auto& [key, value] : cluster_.parameters())
    (*request.mutable_parameters())[key] = value;
  expect_ok(cluster_.call(&pb::Controller::Stub::GetCapacity, request, &response));
  EXPECT_GT(response.available_capacity(), 0);
}

TEST_F(ConformanceTest, WhatIsAtTheTargetAndNotOursIsLeftAlone) {
  const auto volume = cluster_.create("others");
  expect_ok(cluster_.stage(volume));
  stdfs::create_directories(cluster_.target("p"));
  std::ofstream(cluster_.target("p") + "/file") << "precious";
  // A bind would hide it, and the removal of the target would have to take it.
  expect_ok(cluster_.publish(volume, "p"));
  expect_code(cluster_.unpublish(volume, "p"), StatusCode::INTERNAL);
  EXPECT_EQ(contents(cluster_.target("p") + "/file"), "precious");
  stdfs::remove(cluster_.target("p") + "/file");
  expect_ok(cluster_.unpublish(volume, "p"));
  expect_ok(cluster_.unstage(volume));
  cluster_.remove(volume);
}

}  // namespace
}  // namespace holdfast::csi::testing
