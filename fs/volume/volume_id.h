#pragma once
/// A volume's identity as text: RFC 9562 UUIDs, and the marker file that carries one. Pure but for
/// make_volume_id().

#include "holdfast/lock/types.h"

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::fs {

/// Random (version 4).
[[nodiscard]] VolumeId make_volume_id();
/// "f81d4fae-7dec-4d0d-a765-00a0c91e6bf6"
[[nodiscard]] std::string to_string(const VolumeId& id);
/// Lower or upper case; nothing if it is not a UUID.
[[nodiscard]] std::optional<VolumeId> parse_volume_id(std::string_view text);

/// The whole content of a marker file, with a word for people who find it.
[[nodiscard]] std::string marker_text(const VolumeId& id);
/// Nothing if `text` is not a complete marker of a format we know.
[[nodiscard]] std::optional<VolumeId> parse_marker(std::string_view text);

}  // namespace holdfast::fs
