// libFuzzer: whatever is asked of the CSI driver is done within its export and its mounts, or
// refused with a code that tells the caller what to do. Nothing leads out of an export, no volume
// costs another one its data, nothing is mounted twice, and what was made can be removed again.
//
// First byte: which call (low four bits), and whether the mount that is there is dead (0x10) or
// hangs (0x20). What follows is the request, as gRPC hands it over. The services are the real ones;
// the export, the node's mounts and the keeper are in memory (tests/fuzz/csi).
#include "deploy/csi/core/name.h"
#include "deploy/csi/core/record.h"
#include "deploy/csi/core/volume_id.h"
#include "deploy/csi/keeper/protocol.h"
#include "deploy/csi/server/controller.h"
#include "deploy/csi/server/node.h"
#include "holdfast/base/log.h"
#include "tests/fuzz/csi/export.h"
#include "tests/fuzz/csi/must.h"
#include "tests/fuzz/csi/node.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <google/protobuf/stubs/logging.h>

namespace holdfast::log {

// Instead of lib/base/log.cc: lines are made, and go nowhere.
bool enabled(Level) {
  return true;
}
void emit(Level, std::string_view, std::string_view fields) {
  csi::fuzz::must(fields.find('\n') == std::string_view::npos, "a log line is one line");
}

}  // namespace holdfast::log

namespace holdfast::csi::fuzz {
namespace {

namespace pb = ::csi::v1;
using grpc::StatusCode;

constexpr const char* kStaged = "/var/lib/kubelet/staged";

bool is(const grpc::Status& status, StatusCode code) {
  return status.error_code() == code;
}

/// INTERNAL is for a storage that misbehaves; from the driver itself it would be an exception that
/// nobody foresaw.
void check(const grpc::Status& status) {
  must(!is(status, StatusCode::INTERNAL) ||
           status.error_message().find("memory:/export") != std::string::npos,
       "no call ends in an exception");
  must(status.error_message().find('\n') == std::string::npos, "an answer is one line");
}

template <class Request>
std::optional<Request> parsed(std::string_view bytes) {
  Request out;
  if (out.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return out;
  return std::nullopt;
}

void check_volume_id(const std::string& text) {
  must(text.size() <= kVolumeIdBytesMax, "an id has 128 bytes at most");
  const auto id = parse_volume_id(text);
  must(id && to_string(*id) == text, "an id is one that we know again");
}

struct Driver {
  ControllerService controller;
  NodeService node{"node-1", {.keeper_socket = "/keeper", .lockd = "lockd-host"}};
};

// ---- Controller

void remove(Driver& driver, const std::string& id) {
  pb::DeleteVolumeRequest request;
  request.set_volume_id(id);
  pb::DeleteVolumeResponse response;
  must(driver.controller.DeleteVolume(nullptr, &request, &response).ok(),
       "what was made can be removed, also twice");
}

void create(Driver& driver, const pb::CreateVolumeRequest& request) {
  pb::CreateVolumeResponse made;
  const auto status = driver.controller.CreateVolume(nullptr, &request, &made);
  check(status);
  if (request.name().empty() || request.volume_capabilities().empty())
    must(is(status, StatusCode::INVALID_ARGUMENT), "required fields");
  if (!status.ok()) return;
  const std::string id = made.volume().volume_id();
  check_volume_id(id);
  must(parse_volume_id(id)->name == stored_name(request.name()), "an id has its volume's name");
  pb::CreateVolumeResponse again;
  must(driver.controller.CreateVolume(nullptr, &request, &again).ok() &&
           again.volume().volume_id() == id,
       "a repeat is the same volume");
  if (stored_name(request.name()) == "pvc-1") return;
  remove(driver, id);
  remove(driver, id);
}

void validate(Driver& driver, const pb::ValidateVolumeCapabilitiesRequest& request) {
  pb::ValidateVolumeCapabilitiesResponse response;
  const auto status = driver.controller.ValidateVolumeCapabilities(nullptr, &request, &response);
  check(status);
  if (request.volume_id().empty() || request.volume_capabilities().empty())
    must(is(status, StatusCode::INVALID_ARGUMENT), "required fields");
}

void expand(Driver& driver, const pb::ControllerExpandVolumeRequest& request) {
  pb::ControllerExpandVolumeResponse response;
  const auto status = driver.controller.ControllerExpandVolume(nullptr, &request, &response);
  check(status);
  if (request.volume_id().empty() || !request.has_capacity_range())
    must(is(status, StatusCode::INVALID_ARGUMENT), "required fields");
  if (!status.ok()) return;
  must(response.capacity_bytes() >= request.capacity_range().required_bytes(), "it is as large");
}

/// The volume that is there keeps its data, unless it is itself what is deleted.
void check_victim(const std::string& deleted) {
  const auto id = parse_volume_id(deleted);
  if (id && id->name == "pvc-1") return;
  must(the_export->content({"pvc-1", "data"}) == "precious", "a volume's data is its own");
  must(the_export->content({std::string(kRecordsDirectory), record_file("pvc-1")}).has_value(),
       "a volume's record is its own");
}

// ---- Node

template <class Request>
void unstage(Driver& driver, const Request& of) {
  pb::NodeUnstageVolumeRequest request;
  request.set_volume_id(of.volume_id());
  request.set_staging_target_path(of.staging_target_path());
  pb::NodeUnstageVolumeResponse response;
  must(driver.node.NodeUnstageVolume(nullptr, &request, &response).ok(), "what was staged ends");
}

void stage(Driver& driver, const pb::NodeStageVolumeRequest& request) {
  pb::NodeStageVolumeResponse response;
  const auto status = driver.node.NodeStageVolume(nullptr, &request, &response);
  check(status);
  if (request.volume_id().empty() || request.staging_target_path().empty() ||
      !request.has_volume_capability())
    must(is(status, StatusCode::INVALID_ARGUMENT), "required fields");
  if (!status.ok()) return;
  const unsigned mounted = the_node->mounted;
  the_node->health = Health::State::kWell;
  must(driver.node.NodeStageVolume(nullptr, &request, &response).ok(), "a repeat is done");
  must(the_node->mounted == mounted, "a repeat mounts nothing");
  unstage(driver, request);
}

void publish(Driver& driver, const pb::NodePublishVolumeRequest& request) {
  pb::NodePublishVolumeResponse response;
  const auto status = driver.node.NodePublishVolume(nullptr, &request, &response);
  check(status);
  if (request.volume_id().empty() || request.staging_target_path().empty() ||
      request.target_path().empty() || !request.has_volume_capability())
    must(is(status, StatusCode::INVALID_ARGUMENT), "required fields");
  if (!status.ok()) return;
  must(driver.node.NodePublishVolume(nullptr, &request, &response).ok(), "a repeat is done");
  pb::NodeUnpublishVolumeRequest end;
  end.set_volume_id(request.volume_id());
  end.set_target_path(request.target_path());
  pb::NodeUnpublishVolumeResponse ended;
  must(driver.node.NodeUnpublishVolume(nullptr, &end, &ended).ok(), "what was published ends");
  unstage(driver, request);
}

// ---- Texts of others, without a service around them

void keeper(std::string_view bytes) {
  const std::string text(bytes);
  if (const auto command = command_for(text)) must(target_of(*command).front() == '/', "a place");
  if (const auto answer = parse_answer(text)) static_cast<void>(encode_answer(*answer));
  const MountTable table(parse_mountinfo(text));
  if (const auto mount = table.at("/mnt")) static_cast<void>(table.is_mounted_elsewhere(*mount));
  if (const auto record = parse_record(text))
    must(parse_record(to_text(*record)) == record, "a record is read as it was written");
  if (const auto id = parse_volume_id(text)) must(to_string(*id).size() <= text.size(), "an id");
}

void ask(Driver& driver, unsigned which, std::string_view bytes) {
  std::string deleted;
  switch (which) {
    case 0:
      if (const auto request = parsed<pb::CreateVolumeRequest>(bytes)) create(driver, *request);
      break;
    case 1:
      if (const auto request = parsed<pb::DeleteVolumeRequest>(bytes)) {
        pb::DeleteVolumeResponse response;
        const auto status = driver.controller.DeleteVolume(nullptr, &*request, &response);
        check(status);
        if (request->volume_id().empty())
          must(is(status, StatusCode::INVALID_ARGUMENT), "required fields");
        deleted = request->volume_id();
      }
      break;
    case 2:
      if (const auto request = parsed<pb::ValidateVolumeCapabilitiesRequest>(bytes))
        validate(driver, *request);
      break;
    case 3:
      if (const auto request = parsed<pb::GetCapacityRequest>(bytes)) {
        pb::GetCapacityResponse response;
        check(driver.controller.GetCapacity(nullptr, &*request, &response));
        must(response.available_capacity() >= 0, "no negative space");
      }
      break;
    case 4:
      if (const auto request = parsed<pb::ControllerExpandVolumeRequest>(bytes))
        expand(driver, *request);
      break;
    case 5:
      if (const auto request = parsed<pb::NodeStageVolumeRequest>(bytes)) stage(driver, *request);
      break;
    case 6:
      if (const auto request = parsed<pb::NodeUnstageVolumeRequest>(bytes)) {
        pb::NodeUnstageVolumeResponse response;
        check(driver.node.NodeUnstageVolume(nullptr, &*request, &response));
      }
      break;
    case 7:
      if (const auto request = parsed<pb::NodePublishVolumeRequest>(bytes))
        publish(driver, *request);
      break;
    case 8:
      if (const auto request = parsed<pb::NodeUnpublishVolumeRequest>(bytes)) {
        pb::NodeUnpublishVolumeResponse response;
        check(driver.node.NodeUnpublishVolume(nullptr, &*request, &response));
      }
      break;
    case 9:
      if (const auto request = parsed<pb::NodeGetVolumeStatsRequest>(bytes)) {
        pb::NodeGetVolumeStatsResponse response;
        check(driver.node.NodeGetVolumeStats(nullptr, &*request, &response));
      }
      break;
    default:
      keeper(bytes);
  }
  check_victim(deleted);
}

}  // namespace
}  // namespace holdfast::csi::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  google::protobuf::SetLogHandler(nullptr);  // a line for each text that is no UTF-8
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast::csi::fuzz;
  if (size < 1) return 0;
  Export share;
  Node node;
  node.mount("nas:/export/pvc-1", kStaged, false);
  if ((data[0] & 0x10) != 0) node.health = holdfast::csi::Health::State::kDead;
  if ((data[0] & 0x20) != 0) node.health = holdfast::csi::Health::State::kHanging;
  the_export = &share;
  the_node = &node;
  Driver driver;
  ask(driver, data[0] & 0x0fU, {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
