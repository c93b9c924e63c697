#include "deploy/csi/core/capability.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

Refusal bad(std::string what) {
  return {Code::kInvalidArgument, std::move(what)};
}

bool has_mode(const Capability& capability, AccessMode mode) {
  return capability.mode == static_cast<int>(mode);
}

}  // namespace

Done check_capability(const Capability& capability) {
  if (capability.type == Capability::Type::kNone)
    return bad("volume capability: the access type is missing");
  if (capability.type == Capability::Type::kBlock)
    return bad(
        "volume capability: Holdfast has file systems, no block devices (volumeMode: Filesystem)");
  const int last = static_cast<int>(AccessMode::kSingleNodeMultiWriter);
  if (capability.mode <= static_cast<int>(AccessMode::kUnknown) || capability.mode > last)
    return bad("volume capability: the access mode is missing or unknown");
  std::size_t bytes = 0;
  for (const auto& flag : capability.mount_flags)
    bytes += flag.size();
  if (bytes > kMountFlagsBytesMax)
    return bad(fmt::format("mount options: more than {} bytes", kMountFlagsBytesMax));
  return {};
}

Done check_capabilities(const std::vector<Capability>& capabilities) {
  if (capabilities.empty()) return bad("volume capabilities are missing");
  for (const auto& capability : capabilities) {
    if (auto checked = check_capability(capability); !checked) return checked;
  }
  return {};
}

bool is_read_only(const Capability& capability) {
  return has_mode(capability, AccessMode::kSingleNodeReaderOnly) ||
         has_mode(capability, AccessMode::kMultiNodeReaderOnly);
}

bool is_for_one_pod(const Capability& capability) {
  return has_mode(capability, AccessMode::kSingleNodeSingleWriter);
}

Answer<std::int64_t> choose_capacity(const CapacityRange& range) {
  if (range.required_bytes < 0 || range.limit_bytes < 0)
    return bad("capacity range: negative bytes");
  if (range.limit_bytes != 0 && range.limit_bytes < range.required_bytes)
    return Refusal{Code::kOutOfRange, "capacity range: the limit is below what is required"};
  return range.required_bytes != 0 ? range.required_bytes : range.limit_bytes;
}

bool fits(std::int64_t capacity, const CapacityRange& range) {
  if (capacity == 0) return true;
  return capacity >= range.required_bytes &&
         (range.limit_bytes == 0 || capacity <= range.limit_bytes);
}

}  // namespace holdfast::csi
