#include "cli/torture/arena.h"
#include "cli/torture/lock_worker.h"
#include "cli/torture/torture.h"

#include <memory>
#include <random>
#include <set>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace holdfast::torture {
namespace {

int run_and_print(Options options) {
  if (options.seed == 0) options.seed = 1 + std::random_device{}() % 1'000'000U;
  try {
    const auto report = run_torture(options);
    fmt::print("{}", options.json ? to_json(report) : to_text(report));
    return report.passed() ? kExitPass : kExitViolation;
  } catch (const std::exception& error) {
    fmt::print(stderr, "holdfast torture: {}\n", error.what());
    return kExitUsage;
  }
}

std::set<std::string> all_modes() {
  std::set<std::string> names(std::begin(kModes), std::end(kModes));
  names.insert(std::begin(kModesOnRequest), std::end(kModesOnRequest));
  return names;
}
}  // namespace

void register_torture(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand(
      "torture", "Judge the file locks and the durability of a directory seen through its mounts");
  command->add_option("dirs", options->dirs, "The same directory, seen through each mount")
      ->required()
      ->expected(1, kDirsMax)
      ->type_name("DIR");
  command->add_option("--mode", options->modes, "Run only this mode (may be repeated)")
      ->check(CLI::IsMember(all_modes()))
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--seconds", options->seconds, "Load time of the run, shared by the modes")
      ->check(CLI::Range(1U, 7U * 24 * 3600))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Repeat a run (default: random)");
  command->add_option("--workers", options->workers, "Processes at work at once")
      ->check(CLI::Range(1U, kWorkersMax))
      ->capture_default_str();
  command
      ->add_option("--kill-every", options->kill_every_ms,
                   "Mean milliseconds between two kill -9 of a worker; 0 = none")
      ->capture_default_str();
  command
      ->add_option("--patience", options->patience_s,
                   "Seconds after which something that hangs is a violation")
      ->check(CLI::Range(1U, 24U * 3600))
      ->capture_default_str();
  command
      ->add_option("--storm", options->storm,
                   "Processes that keep taking away what mounts keep (give several directories)")
      ->check(CLI::Range(0U, kStormMax))
      ->capture_default_str();
  command->add_option("--reference", options->reference,
                      "Local directory to compare with (mode semantics)");
  command->add_option("--keep", options->keep,
                      "Keep histories in this directory, and the files in the directories tested");
  command->add_flag("--json", options->json, "Print the verdict as one JSON object");
  command->add_flag("--tolerate-io-errors", options->tolerate_io_errors,
                    "I/O errors are unknown outcomes, not violations (servers are being killed)");
  command->add_flag("--tolerate-remounts", options->tolerate_remounts,
                    "So are the errors of a mount that dies and is mounted again");
  command
      ->add_option("--journal", options->journals,
                   "Journal mode of the bank (may be repeated; default: each in turn)")
      ->check(
          CLI::IsMember(std::set<std::string>(std::begin(kJournalModes), std::end(kJournalModes))))
      ->expected(1)
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--pairs", options->pairs,
                      "Mode coherence: end after this many changes, each looked at elsewhere");
  command->add_flag("--held-reads", options->held_reads,
                    "Mode coherence: also read through descriptors that stay open");
  command->footer(
      "Exit code: 0 all promises held, 1 a promise broke, 2 wrong usage or unfit directories.");
  command->callback([options, &exit_code] { exit_code = run_and_print(*options); });

  // Where a worker goes on after an exec; not for people, hence in no group and not in the help.
  auto state = std::make_shared<std::string>();
  auto* after_exec = app.add_subcommand(kAfterExec)->group("");
  after_exec->add_option("state", *state)->required();
  after_exec->callback([state, &exit_code] { exit_code = serve_after_exec(*state); });
}

}  // namespace holdfast::torture
