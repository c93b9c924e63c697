#include "lockd/core/limits.h"

namespace holdfast::lockd {
namespace {

constexpr std::uint64_t kValueMax = 1'000'000'000;  // sums of two stay far below 2^32
constexpr std::uint32_t kRequestsMin = 64;          // a quarter is still worth having

std::uint32_t Limits::*member_of(Limit limit) {
  switch (limit) {
    case Limit::kSessions:
      return &Limits::sessions_max;
    case Limit::kSessionsOfVolume:
      return &Limits::sessions_per_volume_max;
    case Limit::kFiles:
      return &Limits::files_max;
    case Limit::kFilesOfVolume:
      return &Limits::files_per_volume_max;
    case Limit::kRangesOfFile:
      return &Limits::ranges_per_file_max;
    case Limit::kRangesOfSession:
      return &Limits::ranges_per_session_max;
    case Limit::kWaitersOfFile:
      return &Limits::waiters_per_file_max;
    case Limit::kTokens:
      return &Limits::tokens_max;
    case Limit::kTokensOfVolume:
      return &Limits::tokens_per_volume_max;
    case Limit::kTokensOfSession:
      return &Limits::tokens_per_session_max;
    case Limit::kTokenWaitersOfFile:
      return &Limits::token_waiters_per_file_max;
    case Limit::kWaitersOfSession:
    case Limit::kTokenWaitersOfSession:
    case Limit::kRequestsOfSession:
      break;
  }
  return &Limits::requests_in_flight_max;
}

std::uint32_t share_of(Limit limit) {
  if (limit == Limit::kWaitersOfSession) return 2;
  return limit == Limit::kTokenWaitersOfSession ? 4 : 1;
}

}  // namespace

std::uint32_t value_of(Limit limit, const Limits& limits) {
  return limits.*member_of(limit) / share_of(limit);
}

std::string set_limit(Limits& limits, Limit limit, std::uint64_t value) {
  if (const Limit other = set_by(limit); other != limit)
    return "it is a share of " + std::string(name_of(other)) + ", which can be set";
  const std::uint64_t min = limit == Limit::kRequestsOfSession ? kRequestsMin : 1;
  if (value < min || value > kValueMax)
    return "from " + std::to_string(min) + " to " + std::to_string(kValueMax);
  limits.*member_of(limit) = static_cast<std::uint32_t>(value);
  return {};
}

Refused refused_by(Limit limit, const Limits& limits) {
  return {.errc = errc_of(limit),
          .limit = LimitMet{.limit = limit, .max = value_of(limit, limits)}};
}

}  // namespace holdfast::lockd
