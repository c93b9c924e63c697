#pragma once
/// What the status page and metrics show of a coordinator at one moment. Plain data.
///
/// Making one is bounded work, so that nobody who looks keeps the lock service from its work: of
/// sessions, waiters and locks only the first are listed, and only so many are looked at. What was
/// left out is said. Counts are exact always.

#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast::lockd {

struct SnapshotLimits {
  std::size_t sessions_max = 500;
  std::size_t waits_max = 200;
  std::size_t blockers_max = 4;  ///< of each wait
  std::size_t locks_max = 500;
  std::size_t looks_max = 20'000;  ///< at waiters, and again at held ranges
};

/// A request that waits, and who is in its way.
struct WaitShown {
  LockInfo wait;
  /// Holders; or, where only its turn is missing, the waiter that it stands behind (kWaiting).
  std::vector<LockInfo> blockers;
  bool more_blockers = false;
};

struct Snapshot {
  // Exact.
  static constexpr std::size_t kPhases = 5;
  std::array<std::uint64_t, kPhases> sessions_by_phase{};  ///< by SessionPhase
  std::uint64_t connected = 0;
  std::uint64_t held = 0;
  std::uint64_t waiting = 0;
  std::uint64_t tokens = 0;
  std::uint64_t tokens_asked = 0;  ///< requests for tokens that wait
  std::uint64_t files = 0;         ///< with locks or waiters
  std::uint64_t wal_owners = 0;
  /// Of the live session that is next to lose its lease; without one: the whole lease.
  Duration lease_left_min{0};

  // The first of each.
  std::vector<SessionInfo> sessions;
  std::vector<WaitShown> waits;  ///< longest waiting first
  std::vector<LockInfo> locks;   ///< owners of wal-indexes, then ranges
  bool sessions_cut = false;
  bool waits_cut = false;
  bool locks_cut = false;
  // Among those looked at; all, unless the next says otherwise.
  Duration oldest_wait{0};
  Duration oldest_lock{0};
  bool looked_at_all = true;
};

}  // namespace holdfast::lockd
