#include "cli/torture/torture.h"

#include "cli/torture/load.h"
#include "cli/torture/modes.h"
#include "cli/torture/storm.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace holdfast::torture {
namespace {

struct Mode {
  std::string_view name;
  ModeResult (*run)(Arena&, std::chrono::milliseconds);
  StormLimits storm;
};

constexpr Mode kTable[] = {
    // Locks whole files.
    {"semantics", run_semantics, {.files = "lock-", .permissions = true}},
    {"exclusion",
     run_exclusion,
     {.files = "counter", .locks = true, .permissions = true, .writable = "counter-"}},
    {"bank", run_bank, {.files = "bank-", .locks = true, .permissions = true}},
    {"hotjournal", run_hotjournal, {.files = "hot-", .locks = true, .permissions = true}},
    {"wal", run_wal, {.files = "wal.", .locks = true, .permissions = true}},
    // Looks at permissions.
    {"coherence", run_coherence, {.files = "f", .locks = true}},
};

const Mode& mode_named(const std::string& name) {
  const auto* const found = std::find_if(std::begin(kTable), std::end(kTable),
                                         [&](const Mode& mode) { return mode.name == name; });
  if (found == std::end(kTable)) throw SetupError("no such mode: " + name);
  return *found;
}

ModeResult run_mode(const Mode& mode, Arena& arena, std::chrono::milliseconds time) {
  arena.begin_mode(std::string(mode.name));
  Storm storm(arena, mode.storm);
  ModeResult result = mode.run(arena, time);
  storm.stop();
  if (auto note = storm.note()) result.notes.push_back(std::move(*note));
  result.mode = mode.name;
  arena.finish_mode(result);
  return result;
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
  if (options.storm > 0) out += fmt::format(" --storm {}", options.storm);
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
    report.modes.push_back(run_mode(mode_named(name), arena, share));
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
