#include "cli/admin/who.h"

#include "cli/admin/mounts.h"
#include "cli/admin/question.h"
#include "cli/admin/who_report.h"
#include "cli/runtime_directory.h"
#include "fs/state/health.h"
#include "fs/state/reading.h"
#include "fs/state/state.h"
#include "holdfast/wire/errc.h"

#include <algorithm>
#include <cerrno>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace holdfast::cli {
namespace {

struct Target {
  std::uint64_t fileid = 0;
  MountInfo mount;
};

std::vector<std::string> directories_of(const WhoOptions& options) {
  return options.directories.empty() ? published_directories() : options.directories;
}

/// Why a call into the mount over the path will hardly be answered; nothing: it serves, or that is
/// not known. Asks nobody.
std::optional<std::string> why_it_hangs(const WhoOptions& options,
                                        const std::vector<MountInfo>& lines) {
  const auto* over = mount_over(lines, plain_path(options.path));
  if (over == nullptr || !over->is_holdfast()) return std::nullopt;
  const auto state = fs::state::Reading::of(over->connection(), directories_of(options));
  if (!state) return std::nullopt;
  const auto verdict = fs::state::judge(state->snapshot(), fs::state::now_ms());
  using fs::state::Health;
  if (verdict.health == Health::kServing || verdict.health == Health::kUneasy) return std::nullopt;
  return verdict.words;
}

void say_hangs(const WhoOptions& options, std::chrono::milliseconds waited,
               const std::optional<std::string>& why, std::ostream& errors) {
  errors << fmt::format(
      "holdfast: {} does not answer within {} s: {}\n"
      "hint: {}on lockd's machine, holdfast waiters and holdfast sessions\n",
      options.path, waited.count() / 1000, why.value_or("the mount hangs"),
      why ? "" : "holdfast status says what it waits for; ");
}

std::optional<Target> find(const WhoOptions& options, std::ostream& errors) {
  const auto lines = read_mountinfo();
  const auto why = why_it_hangs(options, lines);
  // What the kernel keeps it answers at once, whatever the mount does.
  const auto patience = why ? std::min(options.look, options.look_in_vain) : options.look;
  const auto looked = look_at(options.path, patience);
  if (!looked && to_errno(looked.error()) == ETIMEDOUT) {
    say_hangs(options, patience, why, errors);
    return std::nullopt;
  }
  if (!looked) {
    errors << fmt::format("holdfast: {}: {}\n", options.path, looked.error().message());
    if (to_errno(looked.error()) == ENOTCONN)
      errors << "hint: the mount's process has died; unmount and mount again\n";
    return std::nullopt;
  }
  const auto line = std::find_if(lines.begin(), lines.end(), [&](const MountInfo& one) {
    return one.device == looked->device && one.is_holdfast();
  });
  if (line != lines.end()) return Target{looked->fileid, *line};
  const auto* under = mount_over(lines, plain_path(options.path));
  errors << fmt::format("holdfast: {} is on {}, not on a Holdfast mount\n", options.path,
                        under == nullptr ? "another file system" : under->type);
  return std::nullopt;
}

std::optional<WhoAnswer> ask_mount(const WhoOptions& options, const Target& target,
                                   std::ostream& errors) {
  ErrorCode why = errno_code(ENOENT);
  for (const std::string& directory : directories_of(options)) {
    const std::string path = control_path(directory, target.mount.connection());
    auto answer = ask(path, ClientMessage(AskWho{.question = 1, .fileid = target.fileid}));
    if (answer) {
      if (auto* who = std::get_if<WhoAnswer>(&*answer)) return std::move(*who);
      why = make_error_code(wire::WireErrc::kOutOfPlace);
      continue;
    }
    if (to_errno(answer.error()) != ENOENT) why = answer.error();
  }
  errors << fmt::format("holdfast: cannot ask the mount at {}: {}\n", target.mount.path,
                        why.message());
  switch (to_errno(why)) {
    case EACCES:
      errors << "hint: run this as root, or as the user who mounted it\n";
      break;
    case ENOENT:
      errors << "hint: its socket is not in /run/holdfast of this machine (is this a container?)\n";
      break;
    default:
      errors << "hint: holdfast status says what it is doing\n";
  }
  return std::nullopt;
}

}  // namespace

int run_who(const WhoOptions& options, std::ostream& out, std::ostream& errors) {
  const auto target = find(options, errors);
  if (!target) return kWhoUnreachable;
  const auto answer = ask_mount(options, *target, errors);
  if (!answer) return kWhoUnreachable;
  out << (options.json ? who_json(*answer, options.path, target->fileid)
                       : who_text(*answer, options.path));
  return 0;
}

void register_who(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<WhoOptions>();
  auto* command =
      app.add_subcommand("who", "Which processes have a file locked, and who waits behind whom");
  command->add_option("path", options->path, "File on a Holdfast mount of this node")->required();
  command->add_flag("--json", options->json, "One JSON object instead of a table");
  command->footer(
      "Exit status: 0 answered, 1 no such file, not on a Holdfast mount, or the mount does not "
      "answer, 2 wrong usage.");
  command->callback([options, &exit_code] { exit_code = run_who(*options, std::cout, std::cerr); });
}

}  // namespace holdfast::cli
