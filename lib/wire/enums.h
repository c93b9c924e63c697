#pragma once
/// Enums of the wire and ours, each pair in one table, read in both directions.

#include "holdfast/lock/message.h"

#include <array>
#include <optional>
#include <utility>

#include <holdfast/lockd.pb.h>

namespace holdfast::wire {

namespace pb = ::holdfast::lockd::v1;

template <class Ours, class Theirs, std::size_t N>
using EnumTable = std::array<std::pair<Ours, Theirs>, N>;

inline constexpr EnumTable<LockSpace, pb::LockSpace, 2> kSpaces{{
    {LockSpace::kRange, pb::LOCK_SPACE_RANGE},
    {LockSpace::kFlock, pb::LOCK_SPACE_FLOCK},
}};

inline constexpr EnumTable<LockMode, pb::LockMode, 2> kModes{{
    {LockMode::kShared, pb::LOCK_MODE_SHARED},
    {LockMode::kExclusive, pb::LOCK_MODE_EXCLUSIVE},
}};

inline constexpr EnumTable<OwnerKind, pb::OwnerKind, 3> kOwnerKinds{{
    {OwnerKind::kPosix, pb::OWNER_KIND_POSIX},
    {OwnerKind::kUnchecked, pb::OWNER_KIND_UNCHECKED},
    {OwnerKind::kGivesWay, pb::OWNER_KIND_GIVES_WAY},
}};

inline constexpr EnumTable<TokenMode, pb::TokenMode, 4> kTokenModes{{
    {TokenMode::kNone, pb::TOKEN_MODE_NONE},
    {TokenMode::kRead, pb::TOKEN_MODE_READ},
    {TokenMode::kShared, pb::TOKEN_MODE_SHARED},
    {TokenMode::kExclusive, pb::TOKEN_MODE_EXCLUSIVE},
}};

inline constexpr EnumTable<TokenUse, pb::TokenUse, 3> kTokenUses{{
    {TokenUse::kRead, pb::TOKEN_USE_READ},
    {TokenUse::kWrite, pb::TOKEN_USE_WRITE},
    {TokenUse::kThrough, pb::TOKEN_USE_THROUGH},
}};

inline constexpr EnumTable<LockState, pb::LockState, 3> kStates{{
    {LockState::kHeld, pb::LOCK_STATE_HELD},
    {LockState::kWaiting, pb::LOCK_STATE_WAITING},
    {LockState::kWalOwner, pb::LOCK_STATE_WAL_OWNER},
}};

inline constexpr EnumTable<SessionPhase, pb::SessionPhase, 5> kPhases{{
    {SessionPhase::kLive, pb::SESSION_PHASE_LIVE},
    {SessionPhase::kReturning, pb::SESSION_PHASE_RETURNING},
    {SessionPhase::kCourtesy, pb::SESSION_PHASE_COURTESY},
    {SessionPhase::kFencing, pb::SESSION_PHASE_FENCING},
    {SessionPhase::kFenced, pb::SESSION_PHASE_FENCED},
}};
inline constexpr EnumTable<LockErrc, pb::LockError, 18> kErrors{{
    {LockErrc::kWouldBlock, pb::LOCK_ERROR_WOULD_BLOCK},
    {LockErrc::kDeadlock, pb::LOCK_ERROR_DEADLOCK},
    {LockErrc::kInterrupted, pb::LOCK_ERROR_INTERRUPTED},
    {LockErrc::kTooManyRanges, pb::LOCK_ERROR_TOO_MANY_RANGES},
    {LockErrc::kTooManyWaiters, pb::LOCK_ERROR_TOO_MANY_WAITERS},
    {LockErrc::kTooManyFiles, pb::LOCK_ERROR_TOO_MANY_FILES},
    {LockErrc::kTooManyRequests, pb::LOCK_ERROR_TOO_MANY_REQUESTS},
    {LockErrc::kTooManySessions, pb::LOCK_ERROR_TOO_MANY_SESSIONS},
    {LockErrc::kSessionLost, pb::LOCK_ERROR_SESSION_LOST},
    {LockErrc::kBadSecret, pb::LOCK_ERROR_BAD_SECRET},
    {LockErrc::kWalOwnedElsewhere, pb::LOCK_ERROR_WAL_OWNED_ELSEWHERE},
    {LockErrc::kBadRequest, pb::LOCK_ERROR_BAD_REQUEST},
    {LockErrc::kVersionMismatch, pb::LOCK_ERROR_VERSION_MISMATCH},
    {LockErrc::kStarting, pb::LOCK_ERROR_STARTING},
    {LockErrc::kLockLost, pb::LOCK_ERROR_LOCK_LOST},
    {LockErrc::kStandby, pb::LOCK_ERROR_STANDBY},
    {LockErrc::kStaleLockd, pb::LOCK_ERROR_STALE_LOCKD},
    {LockErrc::kAccessDenied, pb::LOCK_ERROR_ACCESS_DENIED},
}};

inline constexpr EnumTable<Limit, pb::LockLimit, kLimits> kLimitNumbers{{
    {Limit::kSessions, pb::LOCK_LIMIT_SESSIONS},
    {Limit::kSessionsOfVolume, pb::LOCK_LIMIT_SESSIONS_OF_VOLUME},
    {Limit::kFiles, pb::LOCK_LIMIT_FILES},
    {Limit::kFilesOfVolume, pb::LOCK_LIMIT_FILES_OF_VOLUME},
    {Limit::kRangesOfFile, pb::LOCK_LIMIT_RANGES_OF_FILE},
    {Limit::kRangesOfSession, pb::LOCK_LIMIT_RANGES_OF_SESSION},
    {Limit::kWaitersOfFile, pb::LOCK_LIMIT_WAITERS_OF_FILE},
    {Limit::kWaitersOfSession, pb::LOCK_LIMIT_WAITERS_OF_SESSION},
    {Limit::kTokens, pb::LOCK_LIMIT_TOKENS},
    {Limit::kTokensOfVolume, pb::LOCK_LIMIT_TOKENS_OF_VOLUME},
    {Limit::kTokensOfSession, pb::LOCK_LIMIT_TOKENS_OF_SESSION},
    {Limit::kTokenWaitersOfFile, pb::LOCK_LIMIT_TOKEN_WAITERS_OF_FILE},
    {Limit::kTokenWaitersOfSession, pb::LOCK_LIMIT_TOKEN_WAITERS_OF_SESSION},
    {Limit::kRequestsOfSession, pb::LOCK_LIMIT_REQUESTS_OF_SESSION},
}};

/// Ours to theirs; _UNSPECIFIED (0), which every decoder refuses, for a value without a row.
template <class Ours, class Theirs, std::size_t N>
[[nodiscard]] constexpr Theirs to_pb(const EnumTable<Ours, Theirs, N>& table, Ours value) {
  for (const auto& [ours, theirs] : table) {
    if (ours == value) return theirs;
  }
  return Theirs{};
}

/// Theirs to ours; nothing for _UNSPECIFIED and for numbers this version does not know.
template <class Ours, class Theirs, std::size_t N>
[[nodiscard]] constexpr std::optional<Ours> from_pb(const EnumTable<Ours, Theirs, N>& table,
                                                    Theirs value) {
  for (const auto& [ours, theirs] : table) {
    if (theirs == value) return ours;
  }
  return std::nullopt;
}

}  // namespace holdfast::wire
