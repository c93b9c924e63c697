#pragma once
/// How a mount is, in words, from its state. Pure.

#include "fs/state/reading.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace holdfast::fs::state {

enum class Health {
  kServing,
  kUneasy,             ///< serving, and something is wrong that will stop it
  kWaitingForLockd,    ///< suspended: its lease ran out, programs wait
  kWaitingForStorage,  ///< the NFS server does not answer
  kHanging,            ///< its process does not run, or requests stay unanswered for no such reason
  kDead,               ///< its process has ended
};

/// How old the oldest thing may be before it is called waiting, and a beat before the process is
/// said not to run.
inline constexpr std::uint64_t kSlowMs = 5'000;
inline constexpr std::uint64_t kBeatMs = 3'000;

struct Verdict {
  Health health = Health::kServing;
  /// "serving", "waiting for NFS since 1m33s: ...": what is the matter, and what it means.
  std::string words;
};

/// "serving", "uneasy", "waiting-for-lockd", ...: for programs.
[[nodiscard]] std::string_view name_of(Health health);
/// `now`: as in page.h.
[[nodiscard]] Verdict judge(const Snapshot& state, std::uint64_t now);
/// The oldest request that should have been answered; null: none.
[[nodiscard]] const OpenRequest* oldest(const Snapshot& state);
/// Programs that wait for a lock.
[[nodiscard]] std::uint64_t lock_waits(const Snapshot& state);
/// "250ms", "12s", "3m04s".
[[nodiscard]] std::string span_text(std::uint64_t ms);

}  // namespace holdfast::fs::state
