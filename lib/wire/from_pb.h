#pragma once
/// Checks that both directions of decoding share. A function named take() gives nothing for what
/// the protocol does not allow.

#include "holdfast/lock/message.h"
#include "holdfast/wire/frame.h"
#include "lib/wire/enums.h"

#include <algorithm>
#include <optional>
#include <string>

namespace holdfast::wire {

/// A day: far above any sane lease, far below what overflows nanoseconds.
inline constexpr std::uint32_t kLeaseTtlMsMax = 24u * 3600 * 1000;
/// A century, in milliseconds: the bound of ages and remaining leases.
inline constexpr std::int64_t kAgeMsMax = std::int64_t{100} * 366 * 24 * 3600 * 1000;

[[nodiscard]] inline bool is_text(const std::string& bytes) {
  return bytes.size() <= kTextSizeMax;
}

[[nodiscard]] inline std::optional<std::array<std::uint8_t, 16>> take_16(const std::string& bytes) {
  std::array<std::uint8_t, 16> out{};
  if (bytes.size() != out.size()) return std::nullopt;
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

[[nodiscard]] inline FileKey take(const pb::FileKey& from) {
  return {.fileid = from.fileid(), .handle_hash = from.handle_hash()};
}

[[nodiscard]] inline QueuePlace take(const pb::QueuePlace& from) {
  return {.epoch = {from.epoch()}, .seq = from.seq()};
}

[[nodiscard]] inline std::optional<ByteRange> take(const pb::ByteRange& from) {
  return ByteRange::make(from.start(), from.end() == 0 ? ByteRange::kEnd : from.end());
}

}  // namespace holdfast::wire
