// The holdfast command: parse, call, exit code.

#include "cli/admin/admin.h"
#include "cli/admin/break.h"
#include "cli/admin/status.h"
#include "cli/admin/who.h"
#include "cli/bench/bench.h"
#include "cli/bench/fs/fs.h"
#include "cli/doctor/doctor.h"
#include "cli/events/command.h"
#include "cli/metrics/command.h"
#include "cli/mount/command.h"
#include "cli/torture/torture.h"
#include "fs/guard/channel.h"
#include "fs/guard/guardian.h"

#include <cstring>
#include <exception>
#include <string_view>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace {

constexpr int kExitUsage = 2;
constexpr int kExitMountUsage = 1;  // mount(8)
constexpr int kExitInternal = 2;

std::string_view called_as(const char* path) {
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

int run(int argc, char** argv) {
  using namespace holdfast;
  // Not a command: how a mount starts its guardian (fs/guard).
  if (argc > 0 && called_as(argv[0]) == fs::guard::kProgramName) return fs::guard::be_guardian();
  if (argc > 0 && called_as(argv[0]).starts_with("mount.")) return cli::mount_helper(argc, argv);
  if (argc > 0 && called_as(argv[0]).starts_with("umount.")) return cli::unmount_helper(argc, argv);
  int exit_code = 0;
  CLI::App app("Holdfast: file locks that hold, on the NFS storage you already own", "holdfast");
  app.set_version_flag("--version", std::string("holdfast " HOLDFAST_VERSION));
  app.require_subcommand(1);
  app.footer("Manual: holdfast(8)");
  cli::register_mount(app, exit_code);
  cli::register_unmount(app, exit_code);
  cli::register_status(app, exit_code);
  cli::register_top(app, exit_code);
  cli::register_who(app, exit_code);
  cli::register_doctor(app, exit_code);
  cli::register_locks(app, exit_code);
  cli::register_waiters(app, exit_code);
  cli::register_sessions(app, exit_code);
  cli::register_break(app, exit_code);
  cli::register_metrics(app, exit_code);
  cli::register_events(app, exit_code);
  torture::register_torture(app, exit_code);
  bench::fs::register_fs(bench::register_bench(app, exit_code), exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) == 0) return 0;  // --help, --version
    const std::string_view command = argc > 1 ? argv[1] : "";
    return command == "mount" || command == "unmount" ? kExitMountUsage : kExitUsage;
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "holdfast: {}\n", error.what());
    return kExitInternal;
  }
}
