#pragma once
/// The id by which Kubernetes knows a volume that the controller made: says by itself where it is.
///
///   server#share#directory#name      nas#/export#pvc-7c1#pvc-7c1 nas:2050#/export#team/app#pvc-7c1
///   server#share##name               where that has more than kVolumeIdBytesMax: the record knows
///                                    the directory
///
/// '#', '%' and control characters in a part are written %xx. `name` is stored_name()
/// of what CreateVolume was called with: the key of the volume's record on the share (docs/csi.md,
/// "What lies on the export"). Volumes that are made by hand have any id; their place is in the
/// volume's attributes. Pure.

#include "deploy/csi/core/place.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::csi {

inline constexpr std::size_t kVolumeIdBytesMax = 128;  // CSI, "Size Limits"

struct VolumeId {
  Place place;  ///< directory empty: the record says it
  std::string name;

  friend bool operator==(const VolumeId&, const VolumeId&) = default;
};

/// Longer than kVolumeIdBytesMax only where server, share and name alone are.
[[nodiscard]] std::string to_string(const VolumeId& id);
/// Nothing: not an id of ours. What comes out names nothing outside its share, whatever came in.
[[nodiscard]] std::optional<VolumeId> parse_volume_id(std::string_view text);

}  // namespace holdfast::csi
