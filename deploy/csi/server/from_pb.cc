#include "deploy/csi/server/from_pb.h"

namespace holdfast::csi {

Capability from_pb(const pb::VolumeCapability& message) {
  Capability out;
  if (message.has_block()) out.type = Capability::Type::kBlock;
  if (message.has_mount()) {
    out.type = Capability::Type::kMount;
    out.mount_flags.assign(message.mount().mount_flags().begin(),
                           message.mount().mount_flags().end());
  }
  out.mode = static_cast<int>(message.access_mode().mode());
  return out;
}

CapacityRange from_pb(const pb::CapacityRange& message) {
  return {message.required_bytes(), message.limit_bytes()};
}

}  // namespace holdfast::csi
