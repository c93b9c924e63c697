#include "lockd/core/limits.h"

namespace holdfast::lockd {

std::string_view name_of(Limit limit) {
  switch (limit) {
    case Limit::kSessions:
      return "sessions";
    case Limit::kSessionsOfVolume:
      return "sessions_of_volume";
    case Limit::kFiles:
      return "files";
    case Limit::kRangesOfFile:
      return "ranges_of_file";
    case Limit::kRangesOfSession:
      return "ranges_of_session";
    case Limit::kWaitersOfFile:
      return "waiters_of_file";
    case Limit::kWaitersOfSession:
      return "waiters_of_session";
    case Limit::kTokens:
      return "tokens";
    case Limit::kTokensOfSession:
      return "tokens_of_session";
    case Limit::kTokenWaitersOfFile:
      return "token_waiters_of_file";
    case Limit::kTokenWaitersOfSession:
      return "token_waiters_of_session";
    case Limit::kRequestsOfSession:
      return "requests_of_session";
  }
  return "?";
}

LockErrc errc_of(Limit limit) {
  switch (limit) {
    case Limit::kSessions:
    case Limit::kSessionsOfVolume:
      return LockErrc::kTooManySessions;
    case Limit::kRangesOfFile:
    case Limit::kRangesOfSession:
      return LockErrc::kTooManyRanges;
    case Limit::kWaitersOfFile:
    case Limit::kWaitersOfSession:
    case Limit::kTokenWaitersOfFile:
    case Limit::kTokenWaitersOfSession:
      return LockErrc::kTooManyWaiters;
    case Limit::kFiles:
    case Limit::kTokens:
    case Limit::kTokensOfSession:
      return LockErrc::kTooManyFiles;
    case Limit::kRequestsOfSession:
      return LockErrc::kTooManyRequests;
  }
  return LockErrc::kBadRequest;
}

std::uint32_t value_of(Limit limit, const Limits& limits) {
  switch (limit) {
    case Limit::kSessions:
      return limits.sessions_max;
    case Limit::kSessionsOfVolume:
      return limits.sessions_per_volume_max;
    case Limit::kFiles:
      return limits.files_max;
    case Limit::kRangesOfFile:
      return limits.ranges_per_file_max;
    case Limit::kRangesOfSession:
      return limits.ranges_per_session_max;
    case Limit::kWaitersOfFile:
      return limits.waiters_per_file_max;
    case Limit::kWaitersOfSession:
      return limits.requests_in_flight_max / 2;
    case Limit::kTokens:
      return limits.tokens_max;
    case Limit::kTokensOfSession:
      return limits.tokens_per_session_max;
    case Limit::kTokenWaitersOfFile:
      return limits.token_waiters_per_file_max;
    case Limit::kTokenWaitersOfSession:
      return limits.requests_in_flight_max / 4;
    case Limit::kRequestsOfSession:
      return limits.requests_in_flight_max;
  }
  return 0;
}

}  // namespace holdfast::lockd
