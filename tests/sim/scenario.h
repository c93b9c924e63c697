#pragma once
/// What a seed decides: sizes, times, options, and the faults. Everything else follows from chance
/// during the run.

#include "lockd/core/coordinator.h"
#include "tests/sim/world.h"

#include <string_view>
#include <vector>

namespace holdfast::sim {

enum class FaultKind : std::uint8_t {
  kCutConnection,     ///< of a mount, both sides see it sooner or later
  kCutAtMessage,      ///< the connection breaks at the n-th message from now
  kPartition,         ///< a mount and all lockds, both ways
  kPartitionOneWay,   ///< one way only
  kPartitionStorage,  ///< a mount and the NFS server
  kSlowNetwork,       ///< all messages take up to seconds
  kFreezeMount,
  kCrashMount,
  kKillApplication,
  kInterrupt,  ///< a burst of signals to waiting lock calls
  kCrashLockd,
  kCrashLockdAtEffect,  ///< in the middle of what it does, n effects from now
  kCrashLockdAtWrite,   ///< at its n-th store write from now
  kStopLockd,           ///< cleanly
  kFreezeLockd,
  kCrashEverything,
  kStoreFails,  ///< the next n writes fail, their outcome unknown
  kStoreSlow,
  kStoreDeleted,  ///< with a crash of lockd
  kCutLeader,     ///< replicas: the leader from the store
  kRestartStorage,
  kBreakSession,  ///< an operator's `holdfast break`
  kWallClock,     ///< of a lockd, forward
  kMachinePause,  ///< a whole node stands still, its kernel too: not among the defaults
  kEnd
};
[[nodiscard]] std::string_view name(FaultKind kind);
inline constexpr std::size_t kFaultKinds = static_cast<std::size_t>(FaultKind::kEnd);

struct Fault {
  Time at{};
  FaultKind kind = FaultKind::kEnd;
  std::size_t target = 0;  ///< mount or lockd, modulo their number
  Duration duration{};
  std::uint64_t number = 0;  ///< n, or a coin
};

struct Scenario {
  std::uint64_t seed = 0;
  std::size_t mounts = 2;
  std::size_t workers = 2;  ///< of each mount
  std::size_t files = 2;
  std::size_t lockds = 1;
  /// Mounts keep what tokens allow. Else every lock is lockd's, and everything goes through.
  bool tokens = false;
  std::size_t tokens_max = 200'000;  ///< of a mount
  std::size_t directories = 0;
  std::size_t created_max = 0;  ///< files that are created during the run
  double favourite = 0;         ///< chance of an application to use the file of its mount
  bool nested = false;          ///< applications lock two files at once
  Duration linger{};            ///< how long a try waits; zero: not at all
  bool alarms = false;          ///< every blocking lock is interrupted some time
  lockd::Options options;
  milliseconds write_life{0};
  Duration latency{};     ///< typical, one way
  Duration think_max{};   ///< of applications between operations
  double late_write = 0;  ///< chance of a write to take as long as it may
  Duration leader_ttl{};
  Time chaos_until{};
  std::vector<Fault> faults;

  [[nodiscard]] std::size_t total_files() const { return files + directories + created_max; }
  [[nodiscard]] bool is_directory(std::size_t file) const;
};

/// Files come first, then directories, then what is created.
[[nodiscard]] inline bool Scenario::is_directory(std::size_t file) const {
  return file >= files && file < files + directories;
}

struct Choice {
  bool machine_pause = false;
};

[[nodiscard]] Scenario make_scenario(std::uint64_t seed, const Choice& choice);

}  // namespace holdfast::sim
