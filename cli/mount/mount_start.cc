#include "cli/mount/mount_start.h"

#include "cli/mount/background.h"
#include "cli/mount/mount_life.h"
#include "cli/mount/mountpoint.h"
#include "cli/mount/report.h"
#include "holdfast/base/log.h"
#include "holdfast/base/memory.h"
#include "holdfast/base/unique_fd.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

boost::system::result<MountSettings, Failure> settings_from(const MountArguments& arguments) {
  auto source = parse_source(arguments.source);
  if (!source) return source.error();
  MountSettings settings{*source, arguments.source, {}, {}, arguments.foreground};
  for (const auto& text : arguments.options) {
    if (auto parsed = parse_options(text, arguments.unknown, settings.options); !parsed)
      return parsed.error();
  }
  if (arguments.read_only) settings.options.read_only = true;
  if (auto owned = ownership(settings.options); !owned) return owned.error();
  if (!settings.options.lockd)
    return Failure{kExitUsage, "who decides about locks? -o lockd= is missing",
                   "-o lockd=HOST[:PORT] names the holdfast-lockd that all nodes share "
                   "(HOST1/HOST2: its replicas); "
                   "-o lockd=embedded suffices if only this node uses the volume"};
  if (auto* directory = std::get_if<DirectorySource>(&settings.source))
    directory->path = absolute_path(directory->path);  // the daemon's working directory is /
  if (auto fuse = check_fuse(); !fuse) return fuse.error();
  auto mountpoint = check_mountpoint(arguments.mountpoint);
  if (!mountpoint) return mountpoint.error();
  settings.mountpoint = *mountpoint;
  return settings;
}

int in_foreground(const MountSettings& settings) {
  // Logs go to stderr unless a file was asked for; failures are printed before they go there.
  const bool to_stderr = settings.options.log.kind == LogTarget::Kind::kDefault ||
                         settings.options.log.kind == LogTarget::Kind::kStderr;
  const UniqueFd terminal(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!to_stderr) {
    if (auto redirected = redirect_log(settings.options.log, settings.mountpoint); !redirected) {
      print_failure(redirected.error());
      return redirected.error().exit_code;
    }
  }
  Reporter reporter;
  return live(settings, reporter);
}

/// Never returns.
[[noreturn]] void be_the_daemon(const MountSettings& settings, UniqueFd pipe) {
  Reporter reporter(std::move(pipe));
  auto log_to = redirect_log(settings.options.log, settings.mountpoint);
  if (!log_to) {
    reporter.failed(log_to.error());
    ::_exit(log_to.error().exit_code);
  }
  leave_terminal();
  ::_exit(live(settings, reporter));
}

int in_background(const MountSettings& settings) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    print_failure({kExitSystem, fmt::format("pipe: {}", std::strerror(errno)), ""});
    return kExitSystem;
  }
  const UniqueFd from_child(ends[0]);
  UniqueFd to_parent(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    print_failure({kExitSystem, fmt::format("fork: {}", std::strerror(errno)), ""});
    return kExitSystem;
  }
  if (child == 0) be_the_daemon(settings, std::move(to_parent));
  to_parent.reset();
  return wait_for_report(from_child.get());
}

}  // namespace

int start_mount(const MountArguments& arguments) {
  auto settings = settings_from(arguments);
  if (!settings) {
    print_failure(settings.error());
    return settings.error().exit_code;
  }
  if (arguments.fake) return kExitOk;
  log::Options log_options;
  if (settings->options.debug) log_options.level = log::Level::kDebug;
  log::configure(log_options);
  std::signal(SIGPIPE, SIG_IGN);
  keep_freed_memory();
  protect_process();
  return settings->foreground ? in_foreground(*settings) : in_background(*settings);
}

}  // namespace holdfast::cli
