#pragma once
/// lockd's limits, as both sides name them: what a refusal for one of them says. Values: lockd's
/// own (lockd/core/limits.h). docs/protocol.md, "Frames", lists them.

#include "holdfast/lock/errc.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

/// Which limit it was that a request, or a Hello, met.
enum class Limit : std::uint8_t {
  kSessions,
  kSessionsOfVolume,
  kFiles,
  kFilesOfVolume,
  kRangesOfFile,
  kRangesOfSession,
  kWaitersOfFile,
  kWaitersOfSession,
  kTokens,
  kTokensOfVolume,
  kTokensOfSession,
  kTokenWaitersOfFile,
  kTokenWaitersOfSession,
  kRequestsOfSession,
};
inline constexpr std::size_t kLimits = 14;

/// As logs, metrics and options call it, e.g. "ranges_of_session".
[[nodiscard]] std::string_view name_of(Limit limit);
/// Nothing: no limit has this name.
[[nodiscard]] std::optional<Limit> limit_named(std::string_view name);
/// Several have the same error.
[[nodiscard]] LockErrc errc_of(Limit limit);
/// The one that has to be raised for more: itself, but for those that are a share of another.
[[nodiscard]] Limit set_by(Limit limit);

struct LimitMet {
  Limit limit = Limit::kSessions;
  std::uint32_t max = 0;  ///< its value when it was met
  friend bool operator==(const LimitMet&, const LimitMet&) = default;
};
/// "limit ranges_of_session, 250000"
[[nodiscard]] std::string to_text(const LimitMet& met);
/// For people: the error, and the limit if there was one and it is known.
[[nodiscard]] std::string describe(LockErrc errc, const std::optional<LimitMet>& met);

}  // namespace holdfast
