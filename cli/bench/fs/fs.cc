#include "cli/bench/fs/fs.h"

#include "cli/bench/bench.h"
#include "cli/bench/fs/run.h"
#include "cli/bench/scenario.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <sstream>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace holdfast::bench::fs {
namespace {

constexpr std::size_t kMountsMax = 3;
constexpr int kExitInterrupted = 130;

struct Wishes {
  std::vector<std::string> dirs;
  std::vector<std::string> peers;
  bool list = false;
  Options options;
};

PlaceName parse_peer(const std::string& text) {
  const auto equals = text.find('=');
  PlaceName out;
  out.name = text.substr(0, equals);
  std::istringstream dirs(equals == std::string::npos ? "" : text.substr(equals + 1));
  for (std::string dir; std::getline(dirs, dir, ',');)
    out.dirs.push_back(dir);
  if (out.name.empty() || out.dirs.empty() || out.dirs.size() > kMountsMax) {
    throw SetupError(fmt::format(
        "--peer {} is not NAME=DIR, nor NAME=DIR,DIR2,DIR3 with mounts of one file system", text));
  }
  return out;
}

void print_list() {
  for (const Kind& kind : all_kinds()) {
    std::string line = fmt::format("{:<24} {}", kind.name, kind.text);
    if (kind.mounts > 1) line += fmt::format("; needs {} directories", kind.mounts);
    fmt::print("{}\n", line);
  }
}

int run(Wishes& wishes) {
  if (wishes.list) {
    print_list();
    return kExitPass;
  }
  if (wishes.dirs.empty()) {
    throw SetupError("name a directory to be measured: holdfast bench fs DIR");
  }
  Options& options = wishes.options;
  options.places = {{"main", wishes.dirs}};
  for (const std::string& peer : wishes.peers)
    options.places.push_back(parse_peer(peer));
  catch_interrupts();
  if (!options.json) fmt::print("{}", heading());
  const Listener listener{.progress = [](const std::string& line) { progress("fs", line); },
                          .done =
                              [&](const Result& result) {
                                if (options.json) return;
                                fmt::print("{}", to_text(result));
                                std::fflush(stdout);
                              }};
  const auto results = run_all(options, listener);
  const std::vector<std::string> notes{fmt::format(
      "{} processors; a second: median of {} rounds; NFS, lockd, FUSE: calls of Holdfast mounts "
      "for one operation, which do not depend on the machine",
      std::thread::hardware_concurrency(), options.rounds)};
  if (options.json) {
    fmt::print("{}", to_json(results, notes));
  } else {
    fmt::print("note: {}\n", notes.front());
  }
  const bool wrong = std::any_of(results.begin(), results.end(),
                                 [](const Result& one) { return !one.failure.empty(); });
  return wrong ? kExitWrong : kExitPass;
}

int run_and_tell(Wishes& wishes) {
  try {
    return run(wishes);
  } catch (const Interrupted&) {
    return kExitInterrupted;
  } catch (const std::exception& error) {
    fmt::print(stderr, "holdfast bench: {}\n", error.what());
    return kExitUsage;
  }
}

}  // namespace

void register_fs(CLI::App& bench, int& exit_code) {
  auto wishes = std::make_shared<Wishes>();
  Options& options = wishes->options;
  auto* command = bench.add_subcommand("fs", "Measure a file system, and count its calls");
  command
      ->add_option("dirs", wishes->dirs,
                   "Where to measure. Two or three: mounts of one file system, for scenarios of "
                   "several nodes")
      ->type_name("DIR")
      ->expected(0, static_cast<int>(kMountsMax));
  command->add_option("--peer", wishes->peers,
                      "NAME=DIR[,DIR2[,DIR3]]: measured in the same run, round by round in turn: a "
                      "local disk, a kernel NFS mount, another Holdfast mount. May be repeated");
  command->add_option("--only", options.only, "Only these scenarios, or families of them")
      ->delimiter(',')
      ->type_name("NAME");
  command->add_flag("--list", wishes->list, "Print the scenarios and end");
  command->add_option("--seconds", options.seconds, "How long each is measured in a round")
      ->check(CLI::Range(0.01, 3600.0))
      ->capture_default_str();
  command->add_option("--rounds", options.rounds, "Rounds; rates are their median")
      ->check(CLI::Range(1U, 1000U))
      ->capture_default_str();
  command->add_option("--files", options.files, "Files of files; a tenth of them in walk's tree")
      ->check(CLI::Range(std::size_t{1}, std::size_t{10'000'000}))
      ->capture_default_str();
  command->add_option("--megabytes", options.megabytes, "Size of the file of stream and random")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20))
      ->capture_default_str();
  command->add_flag("--json", options.json, "Print the results as one JSON object");
  command->footer(
      "It works in a directory of its own below each DIR, and removes it.\n"
      "Exit code: 0 measured; 1 a scenario failed (an error, a damaged database, lost transfers); "
      "2 wrong usage; 130 interrupted.");
  command->callback([wishes, &exit_code] { exit_code = run_and_tell(*wishes); });
}

}  // namespace holdfast::bench::fs
