#include "deploy/csi/server/controller.h"

#include "deploy/csi/core/name.h"
#include "deploy/csi/core/volume_id.h"
#include "deploy/csi/server/call.h"
#include "deploy/csi/server/from_pb.h"
#include "deploy/csi/storage/share_visit.h"
#include "deploy/csi/storage/volumes.h"

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

/// Before anything is made: what has no id could not be removed again.
Done check_id(const Parameters& parameters, const std::string& name) {
  const std::string id = to_string(VolumeId{parameters.place, name});
  if (id.size() <= kVolumeIdBytesMax) return {};
  return Refusal{Code::kInvalidArgument,
                 fmt::format("server, share and the volume's name are together too long for the id "
                             "of a volume ({} bytes, CSI allows {}); name the server by a shorter "
                             "name or its address, or export the directory under a shorter path",
                             id.size(), kVolumeIdBytesMax)};
}

Answer<CreateOrder> order_from(const pb::CreateVolumeRequest& request) {
  if (auto named = check_name(request.name()); !named) return named.error();
  if (auto checked = check_capabilities(all_from_pb(request.volume_capabilities())); !checked)
    return checked.error();
  if (request.has_volume_content_source())
    return Refusal{
        Code::kInvalidArgument,
        "a volume with content from a snapshot or another volume cannot be made: Holdfast "
        "has neither snapshots nor clones; copy the data with a pod"};
  auto parameters = read_parameters(texts_from_pb(request.parameters()), request.name());
  if (!parameters) return parameters.error();
  const std::string name = stored_name(request.name());
  if (auto checked = check_id(*parameters, name); !checked) return checked.error();
  return CreateOrder{name, from_pb(request.capacity_range()), *parameters};
}

Answer<VolumeId> known_id(const std::string& text) {
  if (auto given = require(text, "volume_id"); !given) return given.error();
  auto id = parse_volume_id(text);
  if (id) return *id;
  return Refusal{Code::kNotFound, fmt::format("no volume {}", printable(text))};
}

/// The record, if it speaks of the same directory as the id.
Answer<Record> find(const VolumeId& id) {
  auto record = ask_share<Record>(id.place.share, [name = id.name](fs::Backend& backend) {
    return find_volume_record(backend, name);
  });
  if (!record) return record;
  if (!id.place.directory.empty() && record->directory != id.place.directory)
    return Refusal{Code::kNotFound, fmt::format("no volume {}", printable(to_string(id)))};
  return record;
}

void fill(const Record& record, const Parameters& parameters, pb::Volume& volume) {
  volume.set_capacity_bytes(record.capacity_bytes);
  volume.set_volume_id(to_string(VolumeId{parameters.place, record.name}));
  for (const auto& [key, value] : parameters.context)
    (*volume.mutable_volume_context())[key] = value;
}

}  // namespace

grpc::Status ControllerService::CreateVolume(grpc::ServerContext* /*context*/,
                                             const pb::CreateVolumeRequest* request,
                                             pb::CreateVolumeResponse* response) {
  return answered({"CreateVolume", request->name()}, [&]() -> Done {
    auto order = order_from(*request);
    if (!order) return order.error();
    const auto turn = busy_.enter(order->name);
    if (!turn) return turn.error();
    auto record = ask_share<Record>(order->parameters.place.share, [&order](fs::Backend& backend) {
      return create_volume(backend, *order);
    });
    if (!record) return record.error();
    fill(*record, order->parameters, *response->mutable_volume());
    return {};
  });
}

grpc::Status ControllerService::DeleteVolume(grpc::ServerContext* /*context*/,
                                             const pb::DeleteVolumeRequest* request,
                                             pb::DeleteVolumeResponse* /*response*/) {
  return answered({"DeleteVolume", request->volume_id()}, [&]() -> Done {
    auto id = known_id(request->volume_id());
    // Not one of ours: then there is nothing of ours to remove.
    if (!id && id.error().code == Code::kNotFound) return {};
    if (!id) return id.error();
    const auto turn = busy_.enter(id->name);
    if (!turn) return turn.error();
    return visit_share(id->place.share, [name = id->name](fs::Backend& backend) {
      return delete_volume(backend, name);
    });
  });
}

grpc::Status ControllerService::ValidateVolumeCapabilities(
    grpc::ServerContext* /*context*/, const pb::ValidateVolumeCapabilitiesRequest* request,
    pb::ValidateVolumeCapabilitiesResponse* response) {
  const Call call{"ValidateVolumeCapabilities", request->volume_id(), Weight::kQuestion};
  return answered(call, [&]() -> Done {
    if (auto given = require(request->volume_id(), "volume_id"); !given) return given;
    if (request->volume_capabilities().empty())
      return Refusal{Code::kInvalidArgument, "volume_capabilities are missing"};
    auto id = known_id(request->volume_id());
    if (!id) return id.error();
    if (auto record = find(*id); !record) return record.error();
    const auto possible = check_capabilities(all_from_pb(request->volume_capabilities()));
    if (!possible) {
      response->set_message(possible.error().what);
      return {};
    }
    auto& confirmed = *response->mutable_confirmed();
    *confirmed.mutable_volume_context() = request->volume_context();
    *confirmed.mutable_volume_capabilities() = request->volume_capabilities();
    *confirmed.mutable_parameters() = request->parameters();
    return {};
  });
}

grpc::Status ControllerService::GetCapacity(grpc::ServerContext* /*context*/,
                                            const pb::GetCapacityRequest* request,
                                            pb::GetCapacityResponse* response) {
  return answered({"GetCapacity", {}, Weight::kQuestion}, [&]() -> Done {
    auto share = read_share(texts_from_pb(request->parameters()));
    if (!share) return share.error();
    if (!*share) return {};  // of no export in particular: nothing can be said
    auto bytes =
        ask_share<std::int64_t>(**share, [](fs::Backend& backend) { return free_bytes(backend); });
    if (!bytes) return bytes.error();
    response->set_available_capacity(*bytes);
    return {};
  });
}

grpc::Status ControllerService::ControllerGetCapabilities(
    grpc::ServerContext* /*context*/, const pb::ControllerGetCapabilitiesRequest* /*request*/,
    pb::ControllerGetCapabilitiesResponse* response) {
  using RPC = pb::ControllerServiceCapability::RPC;
  for (const auto type : {RPC::CREATE_DELETE_VOLUME, RPC::GET_CAPACITY, RPC::EXPAND_VOLUME,
                          RPC::SINGLE_NODE_MULTI_WRITER})
    response->add_capabilities()->mutable_rpc()->set_type(type);
  return grpc::Status::OK;
}

grpc::Status ControllerService::ControllerExpandVolume(
    grpc::ServerContext* /*context*/, const pb::ControllerExpandVolumeRequest* request,
    pb::ControllerExpandVolumeResponse* response) {
  return answered({"ControllerExpandVolume", request->volume_id()}, [&]() -> Done {
    if (auto given = require(request->volume_id(), "volume_id"); !given) return given;
    if (!request->has_capacity_range())
      return Refusal{Code::kInvalidArgument, "capacity_range is missing"};
    auto id = known_id(request->volume_id());
    if (!id) return id.error();
    const auto turn = busy_.enter(id->name);
    if (!turn) return turn.error();
    const auto range = from_pb(request->capacity_range());
    auto record =
        ask_share<Record>(id->place.share, [name = id->name, range](fs::Backend& backend) {
          return expand_volume(backend, name, range);
        });
    if (!record) return record.error();
    response->set_capacity_bytes(record->capacity_bytes);
    return {};
  });
}

}  // namespace holdfast::csi
