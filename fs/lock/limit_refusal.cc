#include "fs/lock/limit_refusal.h"

#include "holdfast/base/result.h"

#include <cstring>
#include <utility>

namespace holdfast::fs {
namespace {

using By = LimitRefusal::By;
using Cost = LimitRefusal::Cost;

bool is_of_a_limit(LockErrc errc) {
  return errc == LockErrc::kTooManyRanges || errc == LockErrc::kTooManyWaiters ||
         errc == LockErrc::kTooManyFiles || errc == LockErrc::kTooManyRequests;
}

Cost cost_of(const Command& command) {
  if (std::holds_alternative<LockRequest>(command)) return Cost::kNotLocked;
  if (std::holds_alternative<UnlockRequest>(command)) return Cost::kStaysLocked;
  if (std::holds_alternative<TokenRequest>(command)) return Cost::kWaits;
  const bool lost =
      std::holds_alternative<PushLocks>(command) || std::holds_alternative<TokenAssert>(command);
  return lost ? Cost::kLost : Cost::kNotDone;
}

/// What shows who has so many of them.
std::string look_at(const std::optional<LimitMet>& met) {
  if (!met) return "lockd's log says which limit it was (limit.refused)";
  switch (met->limit) {
    case Limit::kWaitersOfFile:
    case Limit::kWaitersOfSession:
      return "'holdfast waiters' where lockd runs says who waits for whom";
    case Limit::kTokens:
    case Limit::kTokensOfVolume:
    case Limit::kTokensOfSession:
      return "'holdfast sessions' where lockd runs says who has how many; -o inodes_max=NUMBER "
             "lowers a mount's";
    case Limit::kTokenWaitersOfFile:
    case Limit::kTokenWaitersOfSession:
    case Limit::kRequestsOfSession:
    case Limit::kSessions:
    case Limit::kSessionsOfVolume:
      return "'holdfast sessions' where lockd runs says who is there";
    case Limit::kFiles:
    case Limit::kFilesOfVolume:
    case Limit::kRangesOfFile:
    case Limit::kRangesOfSession:
      break;
  }
  return "'holdfast locks' where lockd runs says who has them, 'holdfast who FILE' here";
}

}  // namespace

std::optional<LimitRefusal> limit_refusal(const Command& command, const Refused& refused, By by) {
  if (!is_of_a_limit(refused.errc)) return std::nullopt;
  return LimitRefusal{
      .by = by, .cost = cost_of(command), .errc = refused.errc, .met = refused.limit};
}

std::string meaning_of(const LimitRefusal& refusal) {
  const char* name = ::strerrorname_np(to_errno(make_error_code(refusal.errc)));
  const std::string told = std::string("the program was told ") + (name == nullptr ? "?" : name);
  switch (refusal.cost) {
    case Cost::kNotLocked:
      return "a lock was not granted, " + told + "; nothing is lost";
    case Cost::kStaysLocked:
      return "a part of a locked range was not unlocked, " + told + "; nothing is lost";
    case Cost::kNotDone:
      return "something was not done, " + told + "; nothing is lost";
    case Cost::kWaits:
      return "programs that use a file wait until lockd has room; nothing is lost";
    case Cost::kLost:
      return "lockd could not take over what this mount had decided alone: locks of a file, and "
             "what was not synced there, are lost; programs get EIO on it until they close it";
  }
  return {};
}

std::string hint_for(const LimitRefusal& refusal) {
  if (refusal.by == By::kMount) {
    return refusal.errc == LockErrc::kTooManyRequests
               ? "so many calls wait to be sent: does lockd answer? ('holdfast status')"
               : "a mount takes no more; unlock what is not needed";
  }
  std::string hint = look_at(refusal.met);
  if (refusal.met) {
    hint += "; if that many are meant, holdfast-lockd --limit " +
            std::string(name_of(set_by(refusal.met->limit))) + "=NUMBER allows more";
  }
  return hint;
}

std::optional<std::uint64_t> LimitLines::due(const LimitRefusal& refusal, Instant now) {
  const auto limit = refusal.met ? std::optional(refusal.met->limit) : std::nullopt;
  Line& line = lines_[{refusal.by, refusal.cost, refusal.errc, limit}];
  ++line.times;
  if (line.said && now - *line.said < kPause) return std::nullopt;
  line.said = now;
  return std::exchange(line.times, 0);
}

}  // namespace holdfast::fs
