#include "tests/sim/scenario.h"

#include <algorithm>
#include <array>

namespace holdfast::sim {
namespace {

struct Kind {
  FaultKind kind;
  std::string_view name;
  unsigned weight;  ///< among the defaults
};
constexpr std::array<Kind, kFaultKinds> kKinds{{
    {FaultKind::kCutConnection, "cut-connection", 8},
    {FaultKind::kCutAtMessage, "cut-at-message", 8},
    {FaultKind::kPartition, "partition", 8},
    {FaultKind::kPartitionOneWay, "partition-one-way", 6},
    {FaultKind::kPartitionStorage, "partition-storage", 5},
    {FaultKind::kSlowNetwork, "slow-network", 3},
    {FaultKind::kFreezeMount, "freeze-mount", 8},
    {FaultKind::kCrashMount, "crash-mount", 6},
    {FaultKind::kKillApplication, "kill-application", 6},
    {FaultKind::kInterrupt, "interrupt", 6},
    {FaultKind::kCrashLockd, "crash-lockd", 8},
    {FaultKind::kCrashLockdAtEffect, "crash-lockd-at-effect", 6},
    {FaultKind::kCrashLockdAtWrite, "crash-lockd-at-write", 6},
    {FaultKind::kStopLockd, "stop-lockd", 3},
    {FaultKind::kFreezeLockd, "freeze-lockd", 6},
    {FaultKind::kCrashEverything, "crash-everything", 2},
    {FaultKind::kStoreFails, "store-fails", 3},
    {FaultKind::kStoreSlow, "store-slow", 3},
    {FaultKind::kStoreDeleted, "store-deleted", 1},
    {FaultKind::kCutLeader, "cut-leader", 5},
    {FaultKind::kRestartStorage, "restart-storage", 4},
    {FaultKind::kBreakSession, "break-session", 2},
    {FaultKind::kWallClock, "wall-clock", 2},
    {FaultKind::kMachinePause, "machine-pause", 0},
}};

FaultKind any_kind(Rng& rng, const Choice& choice) {
  unsigned total = 0;
  const auto weight = [&](const Kind& kind) {
    return kind.kind == FaultKind::kMachinePause && choice.machine_pause ? 8U : kind.weight;
  };
  for (const Kind& kind : kKinds)
    total += weight(kind);
  auto dice = static_cast<unsigned>(rng.below(total));
  for (const Kind& kind : kKinds) {
    if (dice < weight(kind)) return kind.kind;
    dice -= weight(kind);
  }
  return FaultKind::kCutConnection;
}

void add_fault(Scenario& scenario, Rng& rng, Time at, FaultKind kind, std::size_t target,
               Duration duration) {
  scenario.faults.push_back({at, kind, target, duration, rng.next()});
}

// The two edge conditions of RFC 8881 section 8.4.3, as far as they can be arranged: a mount is
// away while its locks are given to others, and lockd restarts before, or twice before, it is back.
void add_edge_condition(Scenario& scenario, Rng& rng, Time at) {
  const Duration ttl = scenario.options.lease_ttl;
  const std::size_t mount = rng.index(scenario.mounts);
  const Duration fenced =
      ttl + Duration(scenario.write_life) + Duration(scenario.options.storage_delay);
  const bool second = rng.chance(0.5);
  const Duration away = second ? fenced * 3 : fenced + ttl + rng.up_to(ttl);
  add_fault(scenario, rng, at, FaultKind::kPartition, mount, away);
  if (second) {
    add_fault(scenario, rng, at + rng.up_to(ttl / 2), FaultKind::kCrashLockd, 0, milliseconds(200));
    // Grace ends without the mount, others work, and lockd restarts just before it is back.
  }
  add_fault(scenario, rng, at + away - rng.up_to(seconds(1)), FaultKind::kCrashLockd, 0,
            milliseconds(300));
}

// A mount is away until it is known to be quiet, comes back, and is cut off again, for less than
// its lease, while lockd restarts: it is quiet no more, and must be waited for.
void add_quiet_condition(Scenario& scenario, Rng& rng) {
  const Duration ttl = scenario.options.lease_ttl;
  const std::size_t mount = rng.index(scenario.mounts);
  const Duration quiet =
      ttl + Duration(scenario.write_life) + Duration(scenario.options.storage_delay);
  const Time at = rng.up_to(scenario.chaos_until / 3);
  const Time back = at + quiet + rng.up_to(seconds(2));
  add_fault(scenario, rng, at, FaultKind::kPartition, mount, back - at);
  const Time again = back + milliseconds(500) + rng.up_to(seconds(2));
  add_fault(scenario, rng, again, FaultKind::kPartition, mount, rng.between(ttl / 2, ttl));
  add_fault(scenario, rng, again + rng.up_to(milliseconds(200)), FaultKind::kCrashLockd, 0,
            milliseconds(300));
}

void add_faults(Scenario& scenario, Rng& rng, const Choice& choice) {
  const Duration ttl = scenario.options.lease_ttl;
  const std::uint64_t count = rng.below(12);
  for (std::uint64_t i = 0; i < count; ++i) {
    const Time at = rng.between(milliseconds(500), scenario.chaos_until);
    const FaultKind kind = any_kind(rng, choice);
    // Mostly around the lease, where the edges are.
    const Duration duration = rng.chance(0.3) ? rng.up_to(ttl / 2) : rng.between(ttl / 2, ttl * 3);
    add_fault(scenario, rng, at, kind, rng.index(64), duration);
  }
  if (rng.chance(0.35)) add_edge_condition(scenario, rng, rng.up_to(scenario.chaos_until / 2));
  // A mount that stands still at the moment when it cannot reach lockd either: F13.
  if (rng.chance(0.2)) {
    const Time at = rng.up_to(scenario.chaos_until / 2);
    const std::size_t mount = rng.index(scenario.mounts);
    add_fault(scenario, rng, at, FaultKind::kPartition, mount, ttl * 2);
    add_fault(scenario, rng, at + rng.up_to(ttl), FaultKind::kFreezeMount, mount,
              rng.up_to(ttl * 3));
  }
  // A leader that cannot reach the store while its mounts can reach it, and one mount that finds
  // the new leader.
  if (scenario.lockds > 1 && rng.chance(0.5)) {
    const Time at = rng.up_to(scenario.chaos_until / 2);
    const Duration fenced =
        ttl + Duration(scenario.write_life) + Duration(scenario.options.storage_delay);
    add_fault(scenario, rng, at, FaultKind::kCutLeader, 0,
              scenario.leader_ttl + fenced * 2 + seconds(3));
    add_fault(scenario, rng, at + scenario.leader_ttl, FaultKind::kCutConnection, rng.index(64),
              {});
  }
  Rng own(scenario.seed ^ 0x901e7ULL);
  // Storage that often takes as long as it may: what else would find a fence that is too short?
  if (own.chance(0.1)) scenario.late_write = 0.3;
  if (own.chance(0.25)) add_quiet_condition(scenario, own);
}

// A mount that decides by itself writes until its lease is over, and what it writes last takes as
// long as it may: till then it is not quiet.
void add_last_writes(Scenario& scenario) {
  Rng own(scenario.seed ^ 0x1a57ULL);
  if (!scenario.tokens || !own.chance(0.1)) return;
  scenario.late_write = 0.3;
  const Duration ttl = scenario.options.lease_ttl;
  const std::size_t mount = own.index(64);
  const Time at = own.up_to(scenario.chaos_until);
  add_fault(scenario, own, at, FaultKind::kPartition, mount, own.between(ttl, ttl * 2));
}

// A mount is new (nobody waits for what it was before), and lockd, whose store is slow, fails while
// the mount is cut off: for a lease it believes in what a lockd has given that the next one may
// know nothing of.
void add_new_mount(Scenario& scenario) {
  Rng own(scenario.seed ^ 0x9e77ULL);
  if (!own.chance(0.05)) return;
  const Duration ttl = scenario.options.lease_ttl;
  const std::size_t mount = own.index(64);
  const Duration quiet =
      ttl + Duration(scenario.write_life) + Duration(scenario.options.storage_delay);
  const Time at = own.up_to(scenario.chaos_until / 3);
  const Time back = at + quiet + seconds(2);
  const Time cut = back + own.between(milliseconds(500), seconds(2));
  add_fault(scenario, own, at, FaultKind::kCrashMount, mount, back - at);
  add_fault(scenario, own, back - milliseconds(100), FaultKind::kStoreSlow, 0, seconds(8));
  add_fault(scenario, own, cut, FaultKind::kPartition, mount, ttl);
  add_fault(scenario, own, cut, FaultKind::kCrashLockd, 0, milliseconds(300));
}

// One lockd after the other fails, before what the last failure left behind is over. Nobody else
// does, in half of the cases: then nobody else is waited for.
void add_storm(Scenario& scenario) {
  Rng own(scenario.seed ^ 0x57042ULL);
  if (!own.chance(scenario.lockds > 1 ? 0.4 : 0.05)) return;
  if (own.chance(0.5)) scenario.faults.clear();
  Time at = own.between(milliseconds(500), scenario.chaos_until);
  for (std::uint64_t left = 3 + own.below(4); left > 0; --left) {
    const auto kind =
        own.pick({FaultKind::kCrashLockd, FaultKind::kCrashLockd, FaultKind::kStopLockd,
                  FaultKind::kFreezeLockd, FaultKind::kCutLeader});
    add_fault(scenario, own, at, kind, 0, own.between(milliseconds(300), scenario.leader_ttl * 3));
    at += own.chance(0.5) ? own.up_to(milliseconds(300)) : own.up_to(scenario.leader_ttl * 2);
  }
  scenario.chaos_until = std::max(scenario.chaos_until, at);
}

// What a fault does depends on those before: of two at the same time the first that was added.
void sort_faults(Scenario& scenario) {
  std::stable_sort(scenario.faults.begin(), scenario.faults.end(),
                   [](const Fault& a, const Fault& b) { return a.at < b.at; });
}

void add_linger(Scenario& scenario) {
  Rng own(scenario.seed ^ 0x11a6e2ULL);
  if (own.chance(0.5)) scenario.linger = own.pick<Duration>({milliseconds(50), milliseconds(500)});
}

// In half of the seeds.
void add_tokens(Scenario& scenario) {
  Rng own(scenario.seed ^ 0x70ce2ULL);
  if (own.chance(0.5)) return;
  scenario.tokens = true;
  scenario.directories = 1 + own.index(2);
  scenario.created_max = 24;
  scenario.favourite = own.pick({0.0, 0.5, 0.9});
  if (own.chance(0.2)) scenario.tokens_max = 2 + own.index(4);
  if (own.chance(0.5)) scenario.think_max = own.pick<Duration>({milliseconds(300), seconds(1)});
  auto& tokens = scenario.options.tokens;
  // Often enough that tokens move all the time.
  tokens.contention.contended_after = own.pick<std::size_t>({2, 3, 8});
  tokens.contention.window = own.pick({milliseconds(100), milliseconds(1'000)});
  tokens.recall_max = own.pick({milliseconds(3'000), milliseconds(60'000)});
}

}  // namespace

std::string_view name(FaultKind kind) {
  return kKinds[static_cast<std::size_t>(kind)].name;
}

Scenario make_scenario(std::uint64_t seed, const Choice& choice) {
  Rng rng(seed ^ 0x5ce0a210ULL);
  Scenario scenario;
  scenario.seed = seed;
  scenario.mounts = 2 + rng.index(3);
  scenario.workers = 1 + rng.index(4);
  scenario.files = 1 + rng.index(3);
  scenario.lockds = rng.chance(0.3) ? 2 + rng.index(2) : 1;
  scenario.nested = rng.chance(0.3);
  scenario.alarms = rng.chance(0.5);
  auto& options = scenario.options;
  options.lease_ttl = rng.pick({milliseconds(2'000), milliseconds(4'000), milliseconds(10'000)});
  options.fairness_patience = rng.pick({milliseconds(1'000), milliseconds(5'000)});
  options.storage_delay = rng.pick({milliseconds(100), milliseconds(1'000), milliseconds(2'000)});
  options.courtesy_max =
      rng.chance(0.8) ? milliseconds(std::chrono::hours(24)) : options.lease_ttl * 3;
  options.idle_max = options.lease_ttl;
  options.fence_retry = milliseconds(3'000);
  options.reclaim_max = milliseconds(10'000);
  using lockd::FenceStep;
  const std::uint64_t fence = rng.below(4);
  if (fence == 0) options.fence = {FenceStep::kCommand, FenceStep::kWaitOut};
  if (fence == 1) options.fence = {FenceStep::kCommand};
  scenario.write_life = rng.pick({milliseconds(500), milliseconds(2'000), milliseconds(5'000)});
  options.write_life_default = milliseconds(5'000);
  scenario.latency = rng.pick<Duration>({microseconds(50), microseconds(300), milliseconds(3)});
  scenario.think_max = rng.pick<Duration>({milliseconds(40), milliseconds(120), milliseconds(300)});
  scenario.late_write = rng.pick({0.0, 0.002, 0.02});
  scenario.leader_ttl = rng.pick<Duration>({seconds(2), seconds(4)});
  scenario.chaos_until = Duration(options.lease_ttl) * (5 + rng.index(6));
  add_faults(scenario, rng, choice);
  add_tokens(scenario);
  add_last_writes(scenario);
  add_new_mount(scenario);
  add_storm(scenario);
  sort_faults(scenario);
  add_linger(scenario);
  if (seed % 2 == 0) options.losses_awaited_max = 1;  // nobody has as many files as in production
  return scenario;
}

}  // namespace holdfast::sim
