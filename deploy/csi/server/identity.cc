#include "deploy/csi/server/identity.h"

namespace holdfast::csi {

namespace pb = ::csi::v1;

grpc::Status IdentityService::GetPluginInfo(grpc::ServerContext* /*context*/,
                                            const pb::GetPluginInfoRequest* /*request*/,
                                            pb::GetPluginInfoResponse* response) {
  response->set_name(kDriverName);
  response->set_vendor_version(HOLDFAST_VERSION);
  return grpc::Status::OK;
}

grpc::Status IdentityService::GetPluginCapabilities(
    grpc::ServerContext* /*context*/, const pb::GetPluginCapabilitiesRequest* /*request*/,
    pb::GetPluginCapabilitiesResponse* response) {
  response->add_capabilities()->mutable_service()->set_type(
      pb::PluginCapability::Service::CONTROLLER_SERVICE);
  response->add_capabilities()->mutable_volume_expansion()->set_type(
      pb::PluginCapability::VolumeExpansion::ONLINE);
  return grpc::Status::OK;
}

// Storage, lockd and keeper are asked call by call: a driver that is restarted since they are away
// would help nobody.
grpc::Status IdentityService::Probe(grpc::ServerContext* /*context*/,
                                    const pb::ProbeRequest* /*request*/,
                                    pb::ProbeResponse* response) {
  response->mutable_ready()->set_value(true);
  return grpc::Status::OK;
}

}  // namespace holdfast::csi
