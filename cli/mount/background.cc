#include "cli/mount/background.h"

#include "holdfast/base/unique_fd.h"
#include "holdfast/base/unix_socket.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

namespace stdfs = std::filesystem;

std::string default_log(const std::string& mountpoint) {
  std::string name = mountpoint;
  std::replace(name.begin(), name.end(), '/', '-');
  name.erase(0, name.find_first_not_of('-'));
  if (name.empty()) name = "root";
  stdfs::path directory = "/var/log";
  if (::geteuid() != 0) {
    const char* state = std::getenv("XDG_STATE_HOME");
    const char* home = std::getenv("HOME");
    directory = state != nullptr  ? stdfs::path(state)
                : home != nullptr ? stdfs::path(home) / ".local" / "state"
                                  : stdfs::temp_directory_path();
  }
  return directory / "holdfast" / (name + ".log");
}

std::string log_path(const LogTarget& target, const std::string& mountpoint) {
  return target.kind == LogTarget::Kind::kFile ? target.path : default_log(mountpoint);
}

boost::system::result<UniqueFd, Failure> open_file(const std::string& path) {
  std::error_code ignored;
  stdfs::create_directories(stdfs::path(path).parent_path(), ignored);
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
  if (!file)
    return Failure{kExitUsage,
                   fmt::format("cannot open the log {}: {}", path, std::strerror(errno)),
                   "choose another with -o log=/path, or -o log=journal"};
  return file;
}

/// journald's stream protocol: a socket whose lines become messages (sd_journal_stream_fd(3)).
boost::system::result<UniqueFd, Failure> open_journal() {
  const Failure missing{kExitUsage, "there is no journal on this machine (log=journal)",
                        "use -o log=/path"};
  auto socket = connect_unix("/run/systemd/journal/stdout");
  if (!socket) return missing;
  // identifier, unit, priority (info), level prefix, and three ways of forwarding: none.
  constexpr std::string_view kHeader = "holdfast\n\n6\n0\n0\n0\n0\n";
  if (::write(socket->get(), kHeader.data(), kHeader.size()) !=
      static_cast<ssize_t>(kHeader.size()))
    return missing;
  return *std::move(socket);
}

void write_file(const char* path, std::string_view text) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file) return;
  [[maybe_unused]] const auto ignored = ::write(file.get(), text.data(), text.size());
}

}  // namespace

boost::system::result<std::string, Failure> redirect_log(const LogTarget& target,
                                                         const std::string& mountpoint) {
  if (target.kind == LogTarget::Kind::kStderr) return std::string("stderr");
  const bool journal = target.kind == LogTarget::Kind::kJournal;
  const std::string path = journal ? "the journal" : log_path(target, mountpoint);
  auto fd = journal ? open_journal() : open_file(path);
  if (!fd) return fd.error();
  ::dup2(fd->get(), STDERR_FILENO);
  return path;
}

void reopen_log(const LogTarget& target, const std::string& mountpoint) {
  if (target.kind == LogTarget::Kind::kStderr || target.kind == LogTarget::Kind::kJournal) return;
  if (auto fd = open_file(log_path(target, mountpoint))) ::dup2(fd->get(), STDERR_FILENO);
}

void leave_terminal() {
  ::setsid();
  [[maybe_unused]] const int ignored = ::chdir("/");
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null) return;
  ::dup2(null.get(), STDIN_FILENO);
  ::dup2(null.get(), STDOUT_FILENO);
}

void protect_process() {
  write_file("/proc/self/oom_score_adj", "-900");
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace holdfast::cli
