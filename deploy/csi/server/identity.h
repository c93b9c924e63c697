#pragma once
/// CSI's Identity service: who we are and what we can do. Thread: gRPC's.

#include "csi/v1/csi.grpc.pb.h"

namespace holdfast::csi {

inline constexpr const char* kDriverName = "csi.holdfast.io";

class IdentityService final : public ::csi::v1::Identity::Service {
 public:
  grpc::Status GetPluginInfo(grpc::ServerContext* context,
                             const ::csi::v1::GetPluginInfoRequest* request,
                             ::csi::v1::GetPluginInfoResponse* response) override;
  grpc::Status GetPluginCapabilities(grpc::ServerContext* context,
                                     const ::csi::v1::GetPluginCapabilitiesRequest* request,
                                     ::csi::v1::GetPluginCapabilitiesResponse* response) override;
  grpc::Status Probe(grpc::ServerContext* context, const ::csi::v1::ProbeRequest* request,
                     ::csi::v1::ProbeResponse* response) override;
};

}  // namespace holdfast::csi
