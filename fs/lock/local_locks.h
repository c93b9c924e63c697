#pragma once
/// Locks that a mount decides under its own token (docs/tokens.md, T2): the same answers as lockd's
/// table gives to one session alone. Pure.
///
/// Nobody waits here (T3): a lock that would have to is lockd's.

#include "fs/lock/held_locks.h"
#include "holdfast/lock/message.h"

#include <cstdint>
#include <variant>

namespace holdfast::fs {

/// Ranges of a file, both spaces together: as many as lockd would take.
inline constexpr std::uint32_t kLocalRangesMax = 200'000;

/// It has to wait for a lock of this mount.
struct MustWait {};
/// PR does not decide this: others may hold shared locks.
struct NeedsMore {};
using LocalDecision = std::variant<Outcome, MustWait, NeedsMore>;

/// Of a command about the locks of one file; `mode` of its token is PR or EX. An Outcome has been
/// carried out in `held`.
[[nodiscard]] LocalDecision decide_here(const Command& command, TokenMode mode, HeldLocks& held);

}  // namespace holdfast::fs
