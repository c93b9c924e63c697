// holdfast-sim: runs seeds, or replays one. docs/simulation.md.

#include "holdfast/base/mutation.h"
#include "tests/sim/shrink.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace {

using holdfast::mutated;
using holdfast::Mutation;
using namespace holdfast::sim;

struct Named {
  const char* name;
  Mutation mutation;
};
constexpr std::array kMutations{
    Named{"client-deadline-late", Mutation::kClientDeadlineLate},
    Named{"expiry-not-recorded", Mutation::kExpiryNotRecorded},
    Named{"reclaim-after-loss", Mutation::kReclaimAfterLoss},
    Named{"reclaim-after-missed-grace", Mutation::kReclaimAfterMissedGrace},
    Named{"session-not-checked-at-grant", Mutation::kSessionNotCheckedAtGrant},
    Named{"waiter-outlives-session", Mutation::kWaiterOutlivesSession},
    Named{"no-lock-delay", Mutation::kNoLockDelay},
    Named{"late-grant-honoured", Mutation::kLateGrantHonoured},
    Named{"deposed-leader-renews", Mutation::kDeposedLeaderRenews},
    Named{"reclaim-unanswered-unlock", Mutation::kReclaimUnansweredUnlock},
    Named{"quiet-too-early", Mutation::kQuietTooEarly},
    Named{"quiet-kept", Mutation::kQuietKept},
    Named{"grant-passes-loss", Mutation::kGrantPassesLoss},
    Named{"welcome-passes-record", Mutation::kWelcomePassesRecord},
    Named{"invalidate-skipped", Mutation::kInvalidateSkipped},
    Named{"release-before-flush", Mutation::kReleaseBeforeFlush},
    Named{"negative-names-kept", Mutation::kNegativeNamesKept},
    Named{"locks-after-token", Mutation::kLocksAfterToken},
    Named{"token-granted-before-release", Mutation::kTokenGrantedBeforeRelease},
    Named{"tokens-forgotten-at-restart", Mutation::kTokensForgottenAtRestart},
    Named{"tries-wait-on", Mutation::kTriesWaitOn},
    Named{"recall-said-once", Mutation::kRecallSaidOnce},
    Named{"within-waits", Mutation::kWithinWaits},
    Named{"no-last-round", Mutation::kNoLastRound},
    Named{"read-before-dropped", Mutation::kReadBeforeDropped},
    Named{"cover-kept", Mutation::kCoverKept},
    Named{"lost-change-sent-again", Mutation::kLostChangeSentAgain},
};

struct Arguments {
  std::uint64_t seed = 0;
  std::uint64_t seeds = 0;
  std::uint64_t from = 1;
  double minutes = 0;
  std::string mutation;
  bool list_mutations = false;
  bool trace = false;
  bool machine_pause = false;
  bool expect_violation = false;
  bool no_shrink = false;
  std::size_t trace_lines = 120;
};

struct Totals {
  std::uint64_t runs = 0;
  std::uint64_t lock_operations = 0;
  std::uint64_t storage_operations = 0;
  std::uint64_t residual = 0;
  std::uint64_t violations = 0;
  double virtual_seconds = 0;
  std::array<std::uint64_t, kFaultKinds> faults{};

  void add(const Result& result) {
    ++runs;
    lock_operations += result.lock_operations;
    storage_operations += result.storage_operations;
    residual += result.residual;
    violations += result.violation ? 1 : 0;
    virtual_seconds += std::chrono::duration<double>(result.virtual_time).count();
    for (std::size_t i = 0; i < kFaultKinds; ++i)
      faults[i] += result.faults[i];
  }
};

void print_trace(const Result& result, std::size_t lines) {
  const auto& trace = result.trace;
  const std::size_t skipped = lines == 0 || trace.size() <= lines ? 0 : trace.size() - lines;
  if (skipped > 0) fmt::print("  ... {} lines before (--trace-lines 0 shows all)\n", skipped);
  for (std::size_t i = skipped; i < trace.size(); ++i)
    fmt::print("{}\n", trace[i]);
}

void report(const Scenario& scenario, const Result& result, const Arguments& arguments) {
  const Violation& violation = *result.violation;
  fmt::print("\nseed {}: {} violated at {:.6f} s: {}\n", scenario.seed, violation.oracle,
             std::chrono::duration<double>(violation.at).count(), violation.what);
  if (arguments.expect_violation) return;
  const Scenario smaller = arguments.no_shrink ? scenario : shrink(scenario, violation);
  fmt::print("shrunk from {} to {} faults: {}", scenario.faults.size(), smaller.faults.size(),
             describe(smaller));
  print_trace(run_scenario(smaller, true), arguments.trace_lines);
  fmt::print("replay: holdfast-sim --seed {}{}{} --trace\n\n", scenario.seed,
             arguments.mutation.empty() ? "" : " --mutation ", arguments.mutation);
}

bool run_one(std::uint64_t seed, const Arguments& arguments, Totals& totals) {
  const Scenario scenario = make_scenario(seed, Choice{.machine_pause = arguments.machine_pause});
  const Result result = run_scenario(scenario, arguments.trace);
  totals.add(result);
  if (arguments.trace) {
    fmt::print("seed {}: {}", seed, describe(scenario));
    print_trace(result, arguments.trace_lines);
  }
  if (result.violation) report(scenario, result, arguments);
  std::fflush(stdout);
  return !result.violation;
}

void print_totals(const Totals& totals, double wall_seconds) {
  std::string faults;
  for (std::size_t i = 0; i < kFaultKinds; ++i) {
    if (totals.faults[i] == 0) continue;
    faults += fmt::format("{}{} {}", faults.empty() ? "" : ", ", name(static_cast<FaultKind>(i)),
                          totals.faults[i]);
  }
  fmt::print(
      "{} seeds, {} lock operations ({:.0f}/s of wall time), {} storage operations, {:.0f} virtual "
      "s in {:.1f} s; faults: {}; residual writes {}; violations {}\n",
      totals.runs, totals.lock_operations,
      static_cast<double>(totals.lock_operations) / wall_seconds, totals.storage_operations,
      totals.virtual_seconds, wall_seconds, faults.empty() ? "none" : faults, totals.residual,
      totals.violations);
}

int run_all(const Arguments& arguments) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  const auto wall = [&] { return std::chrono::duration<double>(Clock::now() - began).count(); };
  Totals totals;
  if (arguments.seed != 0) {
    run_one(arguments.seed, arguments, totals);
  } else {
    for (std::uint64_t i = 0;; ++i) {
      if (arguments.minutes > 0 ? wall() >= arguments.minutes * 60 : i >= arguments.seeds) break;
      const bool good = run_one(arguments.from + i, arguments, totals);
      if (!good && arguments.expect_violation) break;
      if (totals.violations >= 5) break;
    }
  }
  print_totals(totals, std::max(wall(), 1e-9));
  const bool violated = totals.violations > 0;
  return violated == arguments.expect_violation ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"Deterministic simulation of mounts, holdfast-lockd, network, storage and faults"};
  app.add_option("--seed", arguments.seed, "Run this seed only");
  app.add_option("--seeds", arguments.seeds, "How many seeds to run");
  app.add_option("--from", arguments.from, "The first of them")->capture_default_str();
  app.add_option("--minutes", arguments.minutes, "Run seeds for so long");
  app.add_option("--mutation", arguments.mutation, "Plant this mistake (--list-mutations)");
  app.add_flag("--list-mutations", arguments.list_mutations, "What can be planted");
  app.add_flag("--trace", arguments.trace, "Tell what happens");
  app.add_option("--trace-lines", arguments.trace_lines, "The last so many lines; 0 = all");
  app.add_flag("--machine-pause", arguments.machine_pause,
               "Also stop whole nodes, kernels included: writes beyond the bound are counted as "
               "residual");
  app.add_flag("--expect-violation", arguments.expect_violation,
               "Exit 0 if, and as soon as, a violation is found");
  app.add_flag("--no-shrink", arguments.no_shrink, "Show failures as they are");
  CLI11_PARSE(app, argc, argv);
  if (arguments.list_mutations) {
    for (const Named& one : kMutations)
      fmt::print("{}\n", one.name);
    return 0;
  }
  if (!arguments.mutation.empty()) {
    for (const Named& one : kMutations)
      if (arguments.mutation == one.name) holdfast::planted_mutation = one.mutation;
    if (holdfast::planted_mutation == Mutation::kNone) {
      fmt::print(stderr, "no such mutation: {}\n", arguments.mutation);
      return 2;
    }
  }
  if (arguments.seed == 0 && arguments.seeds == 0 && arguments.minutes <= 0) {
    fmt::print(stderr, "give --seed, --seeds or --minutes\n");
    return 2;
  }
  return run_all(arguments);
}
