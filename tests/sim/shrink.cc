#include "tests/sim/shrink.h"

#include "holdfast/base/assert.h"

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace holdfast::sim {

struct AssertFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace holdfast::sim

/// Instead of lib/base's, which ends the process: the seed is still to be told, and shrunk.
void holdfast::base::assert_failed(const char* expression, const char* why, const char* file,
                                   int line) {
  throw sim::AssertFailed(fmt::format("{}:{}: {} ({})", file, line, why, expression));
}

namespace holdfast::sim {
namespace {

constexpr unsigned kRunsMax = 300;

class Shrinker {
 public:
  Shrinker(Scenario scenario, std::string oracle)
      : best_(std::move(scenario)), oracle_(std::move(oracle)) {}

  Scenario run() {
    bool smaller = true;
    while (smaller && runs_ < kRunsMax) {
      smaller = fewer_faults();
      smaller = less(&Scenario::workers, 1) || smaller;
      smaller = less(&Scenario::mounts, 1) || smaller;
      smaller = less(&Scenario::files, 1) || smaller;
      smaller = shorter() || smaller;
    }
    return best_;
  }

 private:
  bool keeps_failing(const Scenario& candidate) {
    if (++runs_ > kRunsMax) return false;
    const Result result = run_scenario(candidate, false);
    if (!result.violation || result.violation->oracle != oracle_) return false;
    best_ = candidate;
    return true;
  }
  bool fewer_faults() {
    bool any = false;
    for (std::size_t size = std::max<std::size_t>(best_.faults.size() / 2, 1);; size /= 2) {
      for (std::size_t at = 0; at < best_.faults.size();) {
        Scenario candidate = best_;
        const auto from = candidate.faults.begin() + static_cast<std::ptrdiff_t>(at);
        const auto n = std::min(size, candidate.faults.size() - at);
        candidate.faults.erase(from, from + static_cast<std::ptrdiff_t>(n));
        if (keeps_failing(candidate)) {
          any = true;
        } else {
          at += size;
        }
      }
      if (size <= 1) return any;
    }
  }
  bool less(std::size_t Scenario::*what, std::size_t least) {
    if (best_.*what <= least) return false;
    Scenario candidate = best_;
    --(candidate.*what);
    return keeps_failing(candidate);
  }
  bool shorter() {
    Scenario candidate = best_;
    candidate.chaos_until = candidate.chaos_until * 3 / 4;
    std::erase_if(candidate.faults,
                  [&](const Fault& fault) { return fault.at > candidate.chaos_until; });
    return candidate.chaos_until > seconds(2) && keeps_failing(candidate);
  }

  Scenario best_;
  std::string oracle_;
  unsigned runs_ = 0;
};

}  // namespace

Result run_scenario(const Scenario& scenario, bool tracing) {
  auto cluster = std::make_unique<Cluster>(scenario, tracing);
  try {
    return cluster->run();
  } catch (const AssertFailed& failed) {
    Result result = cluster->so_far(failed.what());
    static_cast<void>(cluster.release());  // what failed its own checks cannot be taken down
    return result;
  }
}

Scenario shrink(Scenario scenario, const Violation& violation) {
  return Shrinker(std::move(scenario), violation.oracle).run();
}

std::string describe(const Scenario& scenario) {
  const auto& options = scenario.options;
  std::string out = fmt::format(
      "{} mounts with {} applications each, {} files, {} lockd, ttl {} ms, write life {} ms, "
      "storage "
      "delay {} ms, patience {} ms, faults until {:.1f} s\n",
      scenario.mounts, scenario.workers, scenario.files, scenario.lockds, options.lease_ttl.count(),
      scenario.write_life.count(), options.storage_delay.count(), options.fairness_patience.count(),
      std::chrono::duration<double>(scenario.chaos_until).count());
  for (const Fault& fault : scenario.faults)
    out +=
        fmt::format("  {:10.3f} s  {} target {} for {} ms\n",
                    std::chrono::duration<double>(fault.at).count(), name(fault.kind), fault.target,
                    std::chrono::duration_cast<milliseconds>(fault.duration).count());
  return out;
}

}  // namespace holdfast::sim
