#include "cli/admin/status.h"

#include "cli/admin/mounts.h"
#include "cli/admin/status_report.h"
#include "cli/runtime_directory.h"
#include "fs/counters/counters.h"
#include "fs/counters/reading.h"
#include "fs/state/reading.h"
#include "fs/state/state.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <thread>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

void read_published(MountView& mount) {
  const auto directories = published_directories();
  if (const auto reading = fs::state::Reading::of(mount.connection, directories))
    mount.state = reading->snapshot();
  for (const std::string& directory : directories) {
    const auto counted =
        fs::counters::Reading::open(fs::counters::file_of(directory, mount.connection));
    if (!counted) continue;
    mount.counts = counted->counts();
    break;
  }
}

std::vector<MountView> look(const std::string& path) {
  const auto lines = read_mountinfo();
  std::vector<MountView> mounts = holdfast_mounts(lines);
  if (!path.empty()) {
    const MountInfo* over = mount_over(lines, plain_path(path));
    const bool ours = over != nullptr && over->is_holdfast();
    const std::string connection = ours ? over->connection() : std::string();
    std::erase_if(mounts, [&](const MountView& mount) { return mount.connection != connection; });
  }
  for (MountView& mount : mounts)
    read_published(mount);
  return mounts;
}

int no_mount(const StatusOptions& options, std::ostream& errors) {
  errors << (options.path.empty()
                 ? std::string("holdfast: no Holdfast mount on this machine\n")
                 : fmt::format("holdfast: {} is on no Holdfast mount\n", options.path));
  return kStatusNoMount;
}

void describe(CLI::App& command, StatusOptions& options) {
  command.add_option("path", options.path, "Only the mount over this path");
  command.add_flag("--json", options.json, "One JSON object");
}

}  // namespace

int run_status(const StatusOptions& options, std::ostream& out, std::ostream& errors) {
  const auto mounts = look(options.path);
  const std::uint64_t now = fs::state::now_ms();
  if (mounts.empty() && options.json) out << status_json(mounts, now);
  if (mounts.empty()) return no_mount(options, errors);
  out << (options.json ? status_json(mounts, now) : status_text(mounts, now));
  return all_serve(mounts, now) ? kStatusServing : kStatusNotServing;
}

int run_top(const StatusOptions& options, std::ostream& out, std::ostream& errors) {
  const bool live = !options.once && !options.json && ::isatty(STDOUT_FILENO) != 0;
  TopView view;
  view.after = look(options.path);
  std::uint64_t then = fs::state::now_ms();
  for (;;) {
    if (view.after.empty()) return no_mount(options, errors);
    std::this_thread::sleep_for(options.interval);
    view.before = std::move(view.after);
    view.after = look(options.path);
    view.now = fs::state::now_ms();
    view.ms = view.now - then;
    then = view.now;
    // Home, and clear: a terminal keeps what stood above.
    if (live) out << "\x1b[H\x1b[2J";
    out << (options.json ? top_json(view) : top_text(view)) << std::flush;
    if (!live) return all_serve(view.after, view.now) ? kStatusServing : kStatusNotServing;
  }
}

void register_status(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<StatusOptions>();
  auto* command = app.add_subcommand(
      "status", "How the mounts of this node are, and what they wait for; works while they hang");
  describe(*command, *options);
  command->footer(
      "Exit status: 0 all serve, 1 at least one does not, 2 wrong usage, 3 no Holdfast mount.");
  command->callback(
      [options, &exit_code] { exit_code = run_status(*options, std::cout, std::cerr); });
}

void register_top(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<StatusOptions>();
  auto* command = app.add_subcommand("top", "What the mounts of this node do, live");
  describe(*command, *options);
  command->add_flag("--once", options->once, "One look instead of one after the other");
  command
      ->add_option_function<double>(
          "--interval",
          [options](double seconds) {
            options->interval = std::chrono::milliseconds(static_cast<long>(seconds * 1'000));
          },
          "Seconds between two looks")
      ->check(CLI::Range(0.1, 3'600.0))
      ->default_str("1");
  command->footer(
      "Without a terminal, one look. Exit status: 0 all serve, 1 at least one does not, 2 wrong "
      "usage, 3 no Holdfast mount.");
  command->callback([options, &exit_code] { exit_code = run_top(*options, std::cout, std::cerr); });
}

}  // namespace holdfast::cli
