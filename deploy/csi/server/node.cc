#include "deploy/csi/server/node.h"

#include "deploy/csi/server/call.h"
#include "deploy/csi/server/from_pb.h"

namespace holdfast::csi {
namespace {

/// `work` when no other call for this volume is under way.
template <class Work>
Done in_turn(Busy& busy, const std::string& volume, Work work) {
  const auto turn = busy.enter(volume);
  if (!turn) return turn.error();
  return work();
}

template <class Request>
Answer<Capability> required_capability(const Request& request) {
  if (!request.has_volume_capability())
    return Refusal{Code::kInvalidArgument, "volume_capability is missing"};
  auto capability = from_pb(request.volume_capability());
  if (auto checked = check_capability(capability); !checked) return checked.error();
  return capability;
}

template <class Request>
Answer<StageOrder> stage_order(const Request& request) {
  if (auto given = require(request.volume_id(), "volume_id"); !given) return given.error();
  if (auto given = require(request.staging_target_path(), "staging_target_path"); !given)
    return given.error();
  auto capability = required_capability(request);
  if (!capability) return capability.error();
  return StageOrder{request.volume_id(), request.staging_target_path(), *capability,
                    texts_from_pb(request.volume_context())};
}

void fill(const Usage& usage, pb::VolumeUsage::Unit unit, pb::NodeGetVolumeStatsResponse& out) {
  auto& message = *out.add_usage();
  message.set_total(usage.total);
  message.set_used(usage.used);
  message.set_available(usage.available);
  message.set_unit(unit);
}

}  // namespace

grpc::Status NodeService::NodeStageVolume(grpc::ServerContext* /*context*/,
                                          const pb::NodeStageVolumeRequest* request,
                                          pb::NodeStageVolumeResponse* /*response*/) {
  return answered({"NodeStageVolume", request->volume_id()}, [&]() -> Done {
    auto order = stage_order(*request);
    if (!order) return order.error();
    return in_turn(busy_, order->volume_id, [&] { return volumes_.stage(*order); });
  });
}

grpc::Status NodeService::NodeUnstageVolume(grpc::ServerContext* /*context*/,
                                            const pb::NodeUnstageVolumeRequest* request,
                                            pb::NodeUnstageVolumeResponse* /*response*/) {
  return answered({"NodeUnstageVolume", request->volume_id()}, [&]() -> Done {
    if (auto given = require(request->volume_id(), "volume_id"); !given) return given;
    if (auto given = require(request->staging_target_path(), "staging_target_path"); !given)
      return given;
    return in_turn(busy_, request->volume_id(),
                   [&] { return volumes_.unstage(request->staging_target_path()); });
  });
}

grpc::Status NodeService::NodePublishVolume(grpc::ServerContext* /*context*/,
                                            const pb::NodePublishVolumeRequest* request,
                                            pb::NodePublishVolumeResponse* /*response*/) {
  // Kubernetes repeats it all the time (requiresRepublish).
  const Call call{"NodePublishVolume", request->volume_id(), Weight::kQuestion};
  return answered(call, [&]() -> Done {
    if (auto given = require(request->volume_id(), "volume_id"); !given) return given;
    if (auto given = require(request->target_path(), "target_path"); !given) return given;
    auto order = stage_order(*request);
    if (!order) return order.error();
    const PublishOrder publish{*order, request->target_path(), request->readonly()};
    return in_turn(busy_, order->volume_id, [&] { return volumes_.publish(publish); });
  });
}

grpc::Status NodeService::NodeUnpublishVolume(grpc::ServerContext* /*context*/,
                                              const pb::NodeUnpublishVolumeRequest* request,
                                              pb::NodeUnpublishVolumeResponse* /*response*/) {
  return answered({"NodeUnpublishVolume", request->volume_id()}, [&]() -> Done {
    if (auto given = require(request->volume_id(), "volume_id"); !given) return given;
    if (auto given = require(request->target_path(), "target_path"); !given) return given;
    return in_turn(busy_, request->volume_id(),
                   [&] { return volumes_.unpublish(request->target_path()); });
  });
}

grpc::Status NodeService::NodeGetVolumeStats(grpc::ServerContext* /*context*/,
                                             const pb::NodeGetVolumeStatsRequest* request,
                                             pb::NodeGetVolumeStatsResponse* response) {
  const Call call{"NodeGetVolumeStats", request->volume_id(), Weight::kQuestion};
  return answered(call, [&]() -> Done {
    if (auto given = require(request->volume_id(), "volume_id"); !given) return given;
    if (auto given = require(request->volume_path(), "volume_path"); !given) return given;
    auto health = volumes_.stats(request->volume_id(), request->volume_path());
    if (!health) return health.error();
    const bool well = health->state == Health::State::kWell;
    response->mutable_volume_condition()->set_abnormal(!well);
    response->mutable_volume_condition()->set_message(well ? "mounted" : health->why);
    // Not of a mount that does not answer: zeros would look like a full disk to whoever alerts.
    if (!well) return {};
    fill(health->bytes, pb::VolumeUsage::BYTES, *response);
    fill(health->inodes, pb::VolumeUsage::INODES, *response);
    return {};
  });
}

grpc::Status NodeService::NodeGetCapabilities(grpc::ServerContext* /*context*/,
                                              const pb::NodeGetCapabilitiesRequest* /*request*/,
                                              pb::NodeGetCapabilitiesResponse* response) {
  using RPC = pb::NodeServiceCapability::RPC;
  for (const auto type : {RPC::STAGE_UNSTAGE_VOLUME, RPC::GET_VOLUME_STATS, RPC::VOLUME_CONDITION,
                          RPC::SINGLE_NODE_MULTI_WRITER})
    response->add_capabilities()->mutable_rpc()->set_type(type);
  return grpc::Status::OK;
}

grpc::Status NodeService::NodeGetInfo(grpc::ServerContext* /*context*/,
                                      const pb::NodeGetInfoRequest* /*request*/,
                                      pb::NodeGetInfoResponse* response) {
  response->set_node_id(node_id_);
  return grpc::Status::OK;
}

}  // namespace holdfast::csi
