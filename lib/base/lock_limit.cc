#include "holdfast/lock/limit.h"

namespace holdfast {

std::string_view name_of(Limit limit) {
  switch (limit) {
    case Limit::kSessions:
      return "sessions";
    case Limit::kSessionsOfVolume:
      return "sessions_of_volume";
    case Limit::kFiles:
      return "files";
    case Limit::kFilesOfVolume:
      return "files_of_volume";
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
    case Limit::kTokensOfVolume:
      return "tokens_of_volume";
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

std::optional<Limit> limit_named(std::string_view name) {
  for (std::size_t i = 0; i < kLimits; ++i)
    if (name_of(static_cast<Limit>(i)) == name) return static_cast<Limit>(i);
  return std::nullopt;
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
    case Limit::kFilesOfVolume:
    case Limit::kTokens:
    case Limit::kTokensOfVolume:
    case Limit::kTokensOfSession:
      return LockErrc::kTooManyFiles;
    case Limit::kRequestsOfSession:
      return LockErrc::kTooManyRequests;
  }
  return LockErrc::kBadRequest;
}

Limit set_by(Limit limit) {
  const bool share = limit == Limit::kWaitersOfSession || limit == Limit::kTokenWaitersOfSession;
  return share ? Limit::kRequestsOfSession : limit;
}

std::string to_text(const LimitMet& met) {
  return "limit " + std::string(name_of(met.limit)) + ", " + std::to_string(met.max);
}

std::string describe(LockErrc errc, const std::optional<LimitMet>& met) {
  const std::string error = make_error_code(errc).message();
  return met ? error + " (" + to_text(*met) + ")" : error;
}

}  // namespace holdfast
