#pragma once
/// How a volume shall be usable: CSI's access modes, and what they mean for a file system that all
/// nodes can use at once. Pure.

#include "deploy/csi/core/refusal.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::csi {

/// Numbers and names as CSI has them.
enum class AccessMode : std::uint8_t {
  kUnknown = 0,
  kSingleNodeWriter = 1,
  kSingleNodeReaderOnly = 2,
  kMultiNodeReaderOnly = 3,
  kMultiNodeSingleWriter = 4,
  kMultiNodeMultiWriter = 5,
  kSingleNodeSingleWriter = 6,
  kSingleNodeMultiWriter = 7,
};

struct Capability {
  enum class Type : std::uint8_t { kNone, kBlock, kMount };
  Type type = Type::kNone;
  int mode = 0;                          ///< of AccessMode, or what else was sent
  std::vector<std::string> mount_flags;  ///< each as after -o
};

inline constexpr std::size_t kMountFlagsBytesMax = 4096;

/// Errors: kInvalidArgument with what is missing or impossible.
[[nodiscard]] Done check_capability(const Capability& capability);
/// At least one, each as above.
[[nodiscard]] Done check_capabilities(const std::vector<Capability>& capabilities);

[[nodiscard]] bool is_read_only(const Capability& capability);
/// ReadWriteOncePod: published at one path at a time.
[[nodiscard]] bool is_for_one_pod(const Capability& capability);

struct CapacityRange {
  std::int64_t required_bytes = 0;  ///< 0 = not said
  std::int64_t limit_bytes = 0;     ///< 0 = not said
};
/// The size to promise for a new volume. Errors: kInvalidArgument, kOutOfRange.
[[nodiscard]] Answer<std::int64_t> choose_capacity(const CapacityRange& range);
/// Does a volume of `capacity` (0 = any) satisfy `range`?
[[nodiscard]] bool fits(std::int64_t capacity, const CapacityRange& range);

}  // namespace holdfast::csi
