#include "cli/torture/torture.h"

#include "cli/torture/load.h"
#include "cli/torture/modes.h"

#include <algorithm>
#include <chrono>
#include <iterator>

#include <fmt/format.h>

namespace holdfast::torture {
namespace {

using Run = ModeResult (*)(Arena&, std::chrono::milliseconds);

Run mode_named(const std::string& name) {
  if (name == "semantics") return run_semantics;
  if (name == "exclusion") return run_exclusion;
  if (name == "bank") return run_bank;
  if (name == "hotjournal") return run_hotjournal;
  if (name == "wal") return run_wal;
  if (name == "coherence") return run_coherence;
  throw SetupError("no such mode: " + name);
}

std::vector<std::string> modes_of(const Options& options) {
  if (!options.modes.empty()) return options.modes;
  return {std::begin(kModes), std::end(kModes)};
}

std::string replay_command(const Options& options) {
  std::string out =
      fmt::format("holdfast torture --seed {} --seconds {} --workers {} --kill-every {}",
                  options.seed, options.seconds, options.workers, options.kill_every_ms);
  for (const auto& mode : options.modes)
    out += " --mode " + mode;
  for (const auto& journal : options.journals)
    out += " --journal " + journal;
  if (options.tolerate_io_errors) out += " --tolerate-io-errors";
  if (options.tolerate_remounts) out += " --tolerate-remounts";
  if (options.pairs > 0) out += fmt::format(" --pairs {}", options.pairs);
  if (options.held_reads) out += " --held-reads";
  if (!options.reference.empty()) out += " --reference " + options.reference;
  for (const auto& dir : options.dirs)
    out += " " + dir;
  return out;
}
}  // namespace

RunReport run_torture(const Options& options) {
  install_interrupt_handler();
  RunReport report{
      .options = options, .modes = {}, .evidence_dir = {}, .replay = replay_command(options)};
  const auto modes = modes_of(options);
  Arena arena(options);
  const auto share = std::chrono::milliseconds(1000) * options.seconds / modes.size();
  progress(fmt::format("seed {}, {} s for {} mode{}, {} director{}", options.seed, options.seconds,
                       modes.size(), modes.size() == 1 ? "" : "s", options.dirs.size(),
                       options.dirs.size() == 1 ? "y" : "ies"));
  for (const auto& name : modes) {
    const Run run = mode_named(name);
    report.modes.push_back(run(arena, share));
    const auto& result = report.modes.back();
    progress(fmt::format("{:<12} done: {} operations, {} faults, {} violations", name, result.ops,
                         result.faults, result.violations.size()));
    if (!interrupted()) continue;
    // What was found stays found; what was not looked at must not pass.
    if (report.passed()) throw SetupError("interrupted, no verdict");
    break;
  }
  if (!report.passed()) arena.keep_evidence();
  if (!report.passed() || !options.keep.empty()) report.evidence_dir = arena.local_dir();
  return report;
}

}  // namespace holdfast::torture
