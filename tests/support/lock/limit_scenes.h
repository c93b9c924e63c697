#pragma once
/// How each limit of lockd is met, in the fewest steps: the last one is refused.

#include "holdfast/lock/message.h"
#include "lockd/core/limits.h"

#include <optional>
#include <vector>

namespace holdfast::support {

struct LimitStep {
  std::size_t session = 0;           ///< counted from 0; opened with its first step
  std::optional<Command> command{};  ///< nothing: it is opened, and no more
  enum { kAnswered, kWaits } then = kAnswered;
};
struct LimitScene {
  Limit limit;
  lockd::Limits limits;
  std::vector<LimitStep> steps;
};

inline LimitStep locks(std::size_t session, std::uint64_t fileid, std::uint64_t at,
                       Wait wait = Wait::kNo) {
  LockRequest request;
  request.file = {.fileid = fileid, .handle_hash = fileid};
  request.owner = {100 * (session + 1) + at};
  request.handle = {request.owner.value};
  request.kind = OwnerKind::kUnchecked;
  request.mode = LockMode::kExclusive;
  request.range = *ByteRange::make(at, at + 1);
  request.wait = wait;
  return {.session = session,
          .command = request,
          .then = wait == Wait::kYes ? LimitStep::kWaits : LimitStep::kAnswered};
}
/// Another owner wants the byte that session 0 has.
inline LimitStep waits(std::size_t session, std::uint64_t owner) {
  LimitStep step = locks(session, 1, 0, Wait::kYes);
  auto& request = std::get<LockRequest>(*step.command);
  request.owner = {owner};
  request.handle = {owner};
  return step;
}
inline LimitStep wants(std::size_t session, std::uint64_t fileid,
                       decltype(LimitStep::then) then = LimitStep::kAnswered) {
  const FileKey file{.fileid = fileid, .handle_hash = fileid};
  return {.session = session,
          .command = TokenRequest{.file = file, .use = TokenUse::kWrite},
          .then = then};
}

inline std::vector<LimitScene> limit_scenes() {
  constexpr auto kWaits = LimitStep::kWaits;
  const auto with = [](std::uint32_t lockd::Limits::*member, std::uint32_t value) {
    lockd::Limits limits;
    limits.*member = value;
    return limits;
  };
  using L = lockd::Limits;
  return {
      {Limit::kSessions, with(&L::sessions_max, 1), {{0}, {1}}},
      {Limit::kSessionsOfVolume, with(&L::sessions_per_volume_max, 1), {{0}, {1}}},
      {Limit::kFiles, with(&L::files_max, 1), {locks(0, 1, 0), locks(0, 2, 0)}},
      {Limit::kFilesOfVolume, with(&L::files_per_volume_max, 1), {locks(0, 1, 0), locks(1, 2, 0)}},
      {Limit::kRangesOfFile, with(&L::ranges_per_file_max, 1), {locks(0, 1, 0), locks(1, 1, 5)}},
      {Limit::kRangesOfSession,
       with(&L::ranges_per_session_max, 1),
       {locks(0, 1, 0), locks(0, 2, 0)}},
      {Limit::kWaitersOfFile,
       with(&L::waiters_per_file_max, 1),
       {locks(0, 1, 0), waits(1, 7), waits(2, 8)}},
      {Limit::kWaitersOfSession,  // half of the requests
       with(&L::requests_in_flight_max, 4),
       {locks(0, 1, 0), waits(1, 7), waits(1, 8), waits(1, 9)}},
      {Limit::kTokens, with(&L::tokens_max, 1), {wants(0, 1), wants(1, 2)}},
      {Limit::kTokensOfVolume, with(&L::tokens_per_volume_max, 1), {wants(0, 1), wants(1, 2)}},
      {Limit::kTokensOfSession, with(&L::tokens_per_session_max, 1), {wants(0, 1), wants(0, 2)}},
      {Limit::kTokenWaitersOfFile,
       with(&L::token_waiters_per_file_max, 1),
       {wants(0, 1), wants(1, 1, kWaits), wants(2, 1)}},
      {Limit::kTokenWaitersOfSession,  // a quarter of the requests
       with(&L::requests_in_flight_max, 4),
       {wants(0, 1), wants(0, 2), wants(1, 1, kWaits), wants(1, 2)}},
      {Limit::kRequestsOfSession,
       with(&L::requests_in_flight_max, 1),
       {locks(0, 1, 0), locks(0, 1, 5)}},
  };
}

}  // namespace holdfast::support
