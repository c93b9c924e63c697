#include "cli/admin/who.h"

#include "cli/admin/mounts.h"
#include "cli/admin/question.h"
#include "cli/admin/who_report.h"
#include "cli/runtime_directory.h"
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
  MountLine mount;
};

std::optional<Target> find(const WhoOptions& options, std::ostream& errors) {
  const auto looked = look_at(options.path, options.look);
  if (!looked && to_errno(looked.error()) == ETIMEDOUT) {
    errors << fmt::format(
        "holdfast: {} does not answer within {} s: the mount hangs\n"
        "hint: holdfast status says what it waits for; on lockd's machine, holdfast waiters and "
        "holdfast sessions\n",
        options.path, options.look.count() / 1000);
    return std::nullopt;
  }
  if (!looked) {
    errors << fmt::format("holdfast: {}: {}\n", options.path, looked.error().message());
    if (to_errno(looked.error()) == ENOTCONN)
      errors << "hint: the mount's process has died; unmount and mount again\n";
    return std::nullopt;
  }
  const auto lines = read_mountinfo();
  const auto line = std::find_if(lines.begin(), lines.end(), [&](const MountLine& one) {
    return one.device == looked->device && one.type == kHoldfastType;
  });
  if (line != lines.end()) return Target{looked->fileid, *line};
  const auto* under = mount_over(lines, plain_path(options.path));
  errors << fmt::format("holdfast: {} is on {}, not on a Holdfast mount\n", options.path,
                        under == nullptr ? "another file system" : under->type);
  return std::nullopt;
}

std::optional<WhoAnswer> ask_mount(const WhoOptions& options, const Target& target,
                                   std::ostream& errors) {
  const auto directories =
      options.directories.empty() ? published_directories() : options.directories;
  ErrorCode why = errno_code(ENOENT);
  for (const std::string& directory : directories) {
    const std::string path = control_path(directory, connection_of(target.mount));
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
