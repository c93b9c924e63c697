// How well-behaved mounts fare beside those that are not.
#include "cli/bench/attack.h"
#include "cli/bench/process_load.h"
#include "cli/bench/scenario.h"

#include <algorithm>
#include <thread>

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

namespace holdfast::bench {
namespace {

constexpr std::size_t kLockers = 8;
constexpr std::uint64_t kOwner = 1;
constexpr std::chrono::milliseconds kLook{50};

/// Well-behaved sessions: each locks and unlocks a file of its own, one call after another.
class Lockers {
 public:
  Lockers(Swarm& swarm, ScenarioResult& result) : swarm_(swarm), result_(result) {
    swarm_.on_reply = [this](std::size_t client, std::uint64_t tag, const Outcome& outcome,
                             Clock::time_point sent) {
      --asked_;
      times_.push_back(seconds_since(sent) * 1e6);
      if (tag % 2 == 0 ? granted(tag, outcome) : done(tag, outcome)) return ask(client, tag + 1);
      result_.failures.push_back(
          fmt::format("{}: a well-behaved call was {}", beside_, to_text(outcome)));
    };
  }
  ~Lockers() { swarm_.on_reply = nullptr; }
  Lockers(const Lockers&) = delete;
  Lockers& operator=(const Lockers&) = delete;

  /// Times of all calls answered within `seconds`, in microseconds.
  std::vector<double> measure(unsigned seconds, const std::string& beside) {
    beside_ = beside;
    times_.clear();
    for (std::size_t client = 0; client < swarm_.size(); ++client)
      ask(client, 0);
    const auto until = Clock::now() + std::chrono::seconds(seconds);
    going_on_ = true;
    static_cast<void>(swarm_.run_until([&] { return Clock::now() >= until; },
                                       std::chrono::seconds(2 * seconds + 60)));
    going_on_ = false;
    const bool all = swarm_.run_until([&] { return asked_ == 0; }, std::chrono::seconds(60));
    result_.require(all,
                    fmt::format("{}: {} well-behaved calls without an answer", beside, asked_));
    asked_ = 0;
    return std::move(times_);
  }

 private:
  void ask(std::size_t client, std::uint64_t tag) {
    if (!going_on_ && tag % 2 == 0 && tag > 0) return;  // nothing is left locked
    if (!swarm_.up(client)) return;                     // counted as cut
    ++asked_;
    if (tag % 2 == 0) {
      swarm_.ask(client, exclusive(client, kOwner), tag);
    } else {
      swarm_.ask(client, unlock(client, kOwner), tag);
    }
  }

  Swarm& swarm_;
  ScenarioResult& result_;
  std::string beside_;
  std::vector<double> times_;
  std::size_t asked_ = 0;
  bool going_on_ = false;
};

/// lockd on one processor, everybody else on another: attackers take time from lockd by what they
/// ask of it, not by being there. Undone on destruction.
class Placement {
 public:
  explicit Placement(pid_t lockd) {
    ::sched_getaffinity(0, sizeof before_, &before_);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &before_)) cpus.push_back(cpu);
    if (cpus.size() < 2) return;
    pin(lockd, cpus[0]);
    pin(0, cpus[1]);
    others_ = cpus[1];
  }
  ~Placement() { ::sched_setaffinity(0, sizeof before_, &before_); }
  Placement(const Placement&) = delete;
  Placement& operator=(const Placement&) = delete;
  [[nodiscard]] std::optional<int> others() const { return others_; }

 private:
  cpu_set_t before_{};
  std::optional<int> others_;
};

struct State {
  double resident_mib = 0;
  std::size_t descriptors = 0;
};

State state_of(pid_t lockd) {
  return {static_cast<double>(resident_size(lockd).value_or(0)) / (1 << 20),
          open_descriptors(lockd).value_or(0)};
}

/// What one attacker did to the others and to lockd.
struct Beside {
  std::vector<double> alone, beside;  // times, microseconds
  double done_per_second = 0;
  double cpu_percent = 0;
  State before, during, after;
  double gone_after = 0;
};

// Back to what it was: whatever an attacker opened ends with its leases.
double wait_until_gone(OwnLockd& own, Swarm& swarm, const AttackKind& kind, std::size_t descriptors,
                       const Options& options, ScenarioResult& result) {
  const auto begun = Clock::now();
  auto next = begun;
  std::size_t open = 0;
  std::size_t sessions = 0;
  const auto gone = [&] {
    if (Clock::now() < next) return false;
    next = Clock::now() + kLook;
    const auto list = own.sessions();
    sessions = list ? list->sessions.size() : 0;
    open = open_descriptors(own.pid()).value_or(0);
    return sessions == kLockers && open <= descriptors;
  };
  result.require(swarm.run_until(gone, patience(options)),
                 fmt::format("{}: lockd still has {} sessions and {} descriptors, {} before",
                             kind.name, sessions, open, descriptors));
  return seconds_since(begun);
}

Beside measure(const AttackKind& kind, const Options& options, ScenarioResult& result) {
  Beside found;
  Stage stage(options, {"--lease-ttl", "8", "--storage-delay", "0", "--courtesy-max", "1"});
  OwnLockd& own = *stage.own();
  const Placement placement(own.pid());
  Swarm swarm(stage.target(), kLockers);
  swarm.connect_all(0);
  if (!swarm.run_until([&] { return swarm.clients_up() == kLockers; }, patience(options))) {
    result.failures.push_back("the well-behaved sessions could not be opened");
    return found;
  }
  Lockers lockers(swarm, result);
  const std::string name = kind.name;
  found.alone = lockers.measure(options.attack_seconds, "before " + name);
  found.before = state_of(own.pid());
  {
    Attack attack(kind, own.address(), placement.others());
    const auto begun = Clock::now();
    const double cpu = stage.cpu().value_or(0);
    found.beside = lockers.measure(options.attack_seconds, name);
    found.cpu_percent = (stage.cpu().value_or(0) - cpu) / seconds_since(begun) * 100;
    found.done_per_second = static_cast<double>(attack.done()) / seconds_since(begun);
    found.during = state_of(own.pid());
    result.require(attack.running(), name + ": the attacker ended by itself");
    result.require(own.sessions().has_value(), name + ": lockd does not answer its admin socket");
  }
  found.gone_after = wait_until_gone(own, swarm, kind, found.before.descriptors, options, result);
  const auto again = lockers.measure(options.attack_seconds, "after " + name);
  found.alone.insert(found.alone.end(), again.begin(), again.end());
  found.after = state_of(own.pid());
  result.require(own.alive(), name + ": lockd died:\n" + own.log_tail());
  const auto& counts = swarm.counts();
  result.require(counts.cut + counts.ended + counts.replaced + counts.losses == 0,
                 fmt::format("{}: {} well-behaved connections cut, {} sessions ended, {} unknown",
                             name, counts.cut, counts.ended, counts.replaced));
  return found;
}

void report(const AttackKind& kind, Beside found, ScenarioResult& result) {
  const double alone = percentile(found.alone, 0.99);
  const double beside = percentile(found.beside, 0.99);
  const auto ratio = [&](double q) {
    const double before = percentile(found.alone, q);
    return before > 0 ? percentile(found.beside, q) / before : 0;
  };
  const std::string name = kind.name;
  const bool fair_share = name == "calls";  // it asks for nothing that is not its right
  result.figure(name + ": p50 alone", percentile(found.alone, 0.5), "us");
  result.figure(name + ": p50 beside", percentile(found.beside, 0.5), "us");
  result.figure(name + ": p99 alone", alone, "us");
  result.figure(name + ": p99 beside", beside, "us");
  result.figure(name + ": p50, ratio", ratio(0.5), "");
  result.figure(name + ": p99, ratio", ratio(0.99), "", fair_share ? "< 3" : "< 2");
  result.figure(name + ": longest alone", percentile(found.alone, 1), "us");
  result.figure(name + ": longest beside", percentile(found.beside, 1), "us");
  result.figure(name + ": attacker", found.done_per_second, std::string(kind.unit) + "/s");
  result.figure(name + ": lockd's CPU", found.cpu_percent, "% of a core");
  result.figure(name + ": memory before", found.before.resident_mib, "MiB");
  result.figure(name + ": memory during", found.during.resident_mib, "MiB");
  result.figure(name + ": memory after", found.after.resident_mib, "MiB");
  result.figure(name + ": descriptors before", static_cast<double>(found.before.descriptors), "");
  result.figure(name + ": descriptors during", static_cast<double>(found.during.descriptors), "");
  result.figure(name + ": descriptors after", static_cast<double>(found.after.descriptors), "");
  result.figure(name + ": all gone after", found.gone_after, "s");
  result.table.push_back(fmt::format(
      "{:<12}{:>9.0f} "
      "{:<14}{:>6.0f}{:>7.0f}{:>7.2f}{:>8.0f}{:>8.0f}{:>7.2f}{:>9.1f}{:>8.1f}{:>6.0f}"
      "{:>7.0f}{:>6.0f}{:>6.0f}{:>7}{:>6}{:>6}{:>6.1f}",
      name, found.done_per_second, *kind.unit != '\0' ? std::string(kind.unit) + "/s" : "",
      percentile(found.alone, 0.5), percentile(found.beside, 0.5), ratio(0.5), alone, beside,
      ratio(0.99), percentile(found.alone, 1) / 1e3, percentile(found.beside, 1) / 1e3,
      found.cpu_percent, found.before.resident_mib, found.during.resident_mib,
      found.after.resident_mib, found.before.descriptors, found.during.descriptors,
      found.after.descriptors, found.gone_after));
}

}  // namespace

ScenarioResult run_hostile(const Options& options) {
  ScenarioResult result{.name = "hostile",
                        .load = fmt::format("{} sessions that lock and unlock, {} s alone, beside "
                                            "each attacker, and alone again",
                                            kLockers, options.attack_seconds)};
  if (options.lockd) {
    result.skipped = true;
    result.notes.push_back("looks at lockd's process: run it without --lockd");
    return result;
  }
  result.table.push_back(fmt::format("{:<36}{:>20}{:>23}{:>17}{:>6}{:>19}{:>19}{:>6}", "",
                                     "p50, us", "p99, us", "longest, ms", "CPU", "memory, MiB",
                                     "descriptors", "gone"));
  result.table.push_back(fmt::format(
      "{:<12}{:>9} {:<14}{:>6}{:>7}{:>7}{:>8}{:>8}{:>7}{:>9}{:>8}{:>6}"
      "{:>7}{:>6}{:>6}{:>7}{:>6}{:>6}{:>6}",
      "attacker", "does", "", "alone", "beside", "ratio", "alone", "beside", "ratio", "alone",
      "beside", "%", "before", "then", "after", "before", "then", "after", "s"));
  for (const AttackKind& kind : attack_kinds()) {
    const auto& chosen = options.attacks;
    if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), kind.name) == chosen.end()) {
      continue;
    }
    progress(result.name, fmt::format("{}: {}", kind.name, kind.what));
    report(kind, measure(kind, options, result), result);
  }
  result.notes.push_back(
      "lockd has one processor (its store's thread none in particular), the attacker and those who "
      "are measured share another; the attacker is 5 nicer. neighbour is what that alone does");
  return result;
}

}  // namespace holdfast::bench
