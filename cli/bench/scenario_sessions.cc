// Many sessions: what renewing costs, and all of them coming back at once.
#include "cli/bench/scenario.h"

#include <fmt/format.h>

namespace holdfast::bench {
namespace {

constexpr std::uint64_t kOwner = 1;

// Each session holds one file.
bool lock_one_each(Swarm& swarm, const Options& options, ScenarioResult& result) {
  const Pipeline locking{
      .total = swarm.size(),
      .next =
          [](std::uint64_t i) { return std::pair<std::size_t, Command>(i, exclusive(i, kOwner)); },
      .right = granted};
  const auto ran = run_pipeline(swarm, locking, options);
  require_all(ran, swarm.size(), "a lock for each session", result);
  return ran.done == swarm.size() && ran.wrong == 0;
}

// Nobody lost its lock: another owner's query meets it.
void all_still_held(Swarm& swarm, const Options& options, ScenarioResult& result) {
  const Pipeline asking{
      .total = swarm.size(),
      .next = [](std::uint64_t i) { return std::pair<std::size_t, Command>(i, query(i)); },
      .right = in_the_way};
  const auto ran = run_pipeline(swarm, asking, options);
  require_all(ran, swarm.size(), "every session still holds its lock", result);
}

void none_expired(const Swarm& swarm, ScenarioResult& result) {
  const auto& counts = swarm.counts();
  result.require(counts.ended + counts.replaced + counts.losses == 0,
                 fmt::format("false expiries: {} sessions ended, {} unknown, {} files lost",
                             counts.ended, counts.replaced, counts.losses));
}

}  // namespace

ScenarioResult run_sessions(const Options& options) {
  ScenarioResult result{.name = "sessions",
                        .load = fmt::format("{} sessions with a lock each, renewing for {} s",
                                            options.sessions, options.seconds)};
  Stage stage(options);
  Swarm swarm(stage.target(), options.sessions);
  if (!open_all(swarm, options, result) || !lock_one_each(swarm, options, result)) return result;

  progress(result.name, fmt::format("renewing for {} s", options.seconds));
  const auto before = swarm.counts();
  const auto cpu_before = stage.cpu();
  const auto begun = Clock::now();
  const auto until = begun + std::chrono::seconds(options.seconds);
  static_cast<void>(swarm.run_until([&] { return Clock::now() >= until; }, patience(options) * 2));
  const double seconds = seconds_since(begun);
  if (const auto cpu = stage.cpu(); cpu && cpu_before) {
    result.figure("lockd's CPU", (*cpu - *cpu_before) / seconds * 100, "% of a core", "< 50");
  }
  const auto& counts = swarm.counts();
  result.figure("renewals", static_cast<double>(counts.renewals - before.renewals) / seconds, "/s");
  result.figure("false expiries",
                static_cast<double>(counts.ended + counts.replaced + counts.losses), "",
                "0 in 1 h");
  result.figure("renewals answered after the client's deadline",
                static_cast<double>(counts.suspended), "", "0");
  if (const auto resident = stage.resident()) {
    result.figure("lockd's memory", *resident / (1 << 20), "MiB");
  }
  result.require(counts.cut == before.cut,
                 fmt::format("{} connections broke", counts.cut - before.cut));
  none_expired(swarm, result);
  all_still_held(swarm, options, result);
  return result;
}

ScenarioResult run_reconnect(const Options& options) {
  ScenarioResult result{
      .name = "reconnect",
      .load = fmt::format("{} sessions with a lock each; lockd is killed and started again",
                          options.sessions)};
  if (options.lockd) {
    result.load =
        fmt::format("{} sessions with a lock each; all connections cut at once", options.sessions);
  }
  Stage stage(options);
  Swarm swarm(stage.target(), options.sessions);
  swarm.held = [](std::size_t client) {
    return std::vector<HeldLock>{as_held(exclusive(client, kOwner))};
  };
  if (!open_all(swarm, options, result) || !lock_one_each(swarm, options, result)) return result;

  progress(result.name, "cutting all connections");
  const auto begun = Clock::now();
  std::size_t back = 0;
  std::vector<double> times;
  swarm.on_up = [&](std::size_t) {
    ++back;
    times.push_back(seconds_since(begun));
  };
  if (OwnLockd* own = stage.own()) {
    own->kill_hard();
    own->start_again();
  } else {
    for (std::size_t client = 0; client < swarm.size(); ++client)
      swarm.drop(client);
  }
  const bool all = swarm.run_until([&] { return back == swarm.size(); }, patience(options));
  result.require(all, fmt::format("{} of {} came back; last refusal: {}", back, swarm.size(),
                                  swarm.counts().last_refusal));
  result.figure("half of them back after", percentile(times, 0.5), "s");
  result.figure("all back and entitled after", percentile(times, 1), "s", "<= 10");
  if (const auto cpu = stage.cpu()) {
    result.figure("lockd's CPU since its start", *cpu, "s");
  }
  swarm.on_up = nullptr;
  none_expired(swarm, result);
  if (all) all_still_held(swarm, options, result);
  result.figure("all have an answer from the new lockd after", seconds_since(begun), "s");
  return result;
}

}  // namespace holdfast::bench
