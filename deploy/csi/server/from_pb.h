#pragma once
/// CSI's messages as our values.

#include "csi/v1/csi.pb.h"
#include "deploy/csi/core/capability.h"
#include "deploy/csi/core/parameters.h"

#include <vector>

namespace holdfast::csi {

namespace pb = ::csi::v1;

[[nodiscard]] Capability from_pb(const pb::VolumeCapability& message);
[[nodiscard]] CapacityRange from_pb(const pb::CapacityRange& message);
template <class Messages>
[[nodiscard]] std::vector<Capability> all_from_pb(const Messages& messages) {
  std::vector<Capability> out;
  for (const auto& message : messages)
    out.push_back(from_pb(message));
  return out;
}
template <class Map>
[[nodiscard]] Texts texts_from_pb(const Map& map) {
  return Texts(map.begin(), map.end());
}

}  // namespace holdfast::csi
