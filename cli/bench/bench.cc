#include "cli/bench/bench.h"

#include "cli/bench/attack.h"
#include "cli/bench/scenario.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace holdfast::bench {
namespace {

using Run = ScenarioResult (*)(const Options&);

constexpr std::pair<std::string_view, Run> kRuns[] = {
    {"sessions", run_sessions}, {"reconnect", run_reconnect}, {"locks", run_locks},
    {"ranges", run_ranges},     {"waiters", run_waiters},     {"ops", run_ops},
    {"restart", run_restart},   {"store", run_store},         {"hostile", run_hostile}};

int run_and_print(const Options& options) {
  try {
    // As they come, for whoever watches or interrupts a long run.
    const auto tell = [&](const ScenarioResult& result) {
      if (options.json) return;
      fmt::print("{}\n", to_text(result));
      std::fflush(stdout);
    };
    const Report report = run_bench(options, tell);
    fmt::print("{}", options.json ? to_json(report) : conclusion(report));
    return report.passed() ? kExitPass : kExitWrong;
  } catch (const std::exception& error) {
    fmt::print(stderr, "holdfast bench: {}\n", error.what());
    return kExitUsage;
  }
}

void describe_sizes(CLI::App& command, Options& options) {
  const auto size = [&](const char* name, std::size_t& value, const char* what, std::size_t max) {
    command.add_option(name, value, what)
        ->check(CLI::Range(std::size_t{1}, max))
        ->capture_default_str();
  };
  size("--sessions", options.sessions, "Sessions of sessions and reconnect", 1'000'000);
  size("--locks", options.locks, "Locks of locks and restart", 100'000'000);
  size("--files", options.files, "Files they lie in", 100'000'000);
  size("--holders", options.holders, "Sessions that hold them, or wait (waiters)", 1'000'000);
  size("--ranges", options.ranges, "Ranges of ranges", 100'000'000);
  size("--waiters", options.waiters, "Waiters of waiters", 10'000'000);
  size("--ops", options.ops, "Requests of ops", 1'000'000'000);
  size("--rounds", options.rounds, "Rounds of store", 1'000'000);
  size("--round-size", options.round_size, "Sessions of such a round", 1'000'000);
  command.add_option("--seconds", options.seconds, "How long sessions renews")
      ->check(CLI::Range(1U, 7U * 24 * 3600))
      ->capture_default_str();
  std::set<std::string> attacks;
  for (const AttackKind& kind : attack_kinds())
    attacks.insert(kind.name);
  command.add_option("--attack", options.attacks, "Only these attackers of hostile")
      ->check(CLI::IsMember(attacks));
  command
      .add_option("--attack-seconds", options.attack_seconds,
                  "How long each attacks, and how long is measured before and after it")
      ->check(CLI::Range(1U, 3600U))
      ->capture_default_str();
  command
      .add_option("--patience", options.patience_s, "Seconds after which something counts as never")
      ->check(CLI::Range(1U, 24U * 3600))
      ->capture_default_str();
}

}  // namespace

Report run_bench(const Options& options,
                 const std::function<void(const ScenarioResult&)>& on_done) {
  Report report;
  for (const auto& [name, run] : kRuns) {
    const auto& chosen = options.scenarios;
    if (!chosen.empty() && std::find(chosen.begin(), chosen.end(), name) == chosen.end()) continue;
    report.scenarios.push_back(run(options));
    on_done(report.scenarios.back());
  }
  report.notes.push_back(
      fmt::format("the simulated mounts share one process and this machine, {} processors, with "
                  "lockd; times are told, not judged",
                  std::thread::hardware_concurrency()));
  if (options.lockd) {
    report.notes.push_back("a lockd that was given: its CPU time and memory are not known here");
  }
  return report;
}

CLI::App& register_bench(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  auto* bench = app.add_subcommand("bench", "Put load on a part of Holdfast and measure it");
  bench->require_subcommand(1);
  auto* command =
      bench->add_subcommand("lockd", "Load a holdfast-lockd with thousands of simulated mounts");
  command
      ->add_option("scenarios", options->scenarios,
                   "sessions: what renewing costs. reconnect: all cut at once. locks: memory and "
                   "lookup. ranges: one file in pieces. waiters: many for one byte. ops: lock and "
                   "unlock. restart: lockd is killed holding all locks. store: does it grow? "
                   "hostile: how others fare beside attackers. Default: all")
      ->type_name("SCENARIO")
      ->check(CLI::IsMember(std::set<std::string>(std::begin(kScenarios), std::end(kScenarios))));
  command->add_option("--lockd", options->lockd,
                      "HOST:PORT of a lockd of the same version; nothing else may use it. Default: "
                      "one is started for each scenario, with a fresh store, and ended");
  command->add_option("-o,--options", options->mount_options,
                      "With --lockd, as for holdfast mount: tls_ca=, tls_cert=, tls_key=, "
                      "token_file=, plain; volume_id= where the credential is for one volume. A "
                      "lockd with an access list takes 2000 sessions of a volume");
  command->add_option("--lockd-binary", options->binary,
                      "The holdfast-lockd to start. Default: the one beside this program");
  command->add_option("--directory", options->directory,
                      "Where its store lies. Default: the directory for temporary files");
  describe_sizes(*command, *options);
  command->add_flag("--json", options->json, "Print the report as one JSON object");
  command->footer(
      "Exit code: 0 lockd stayed right (order, no expiry, nothing lost), however fast; 1 it did "
      "not; 2 wrong usage or an unfit machine.");
  command->callback([options, &exit_code] { exit_code = run_and_print(*options); });
  return *bench;
}

}  // namespace holdfast::bench
