#include "lockd/server/fence_command.h"

#include "holdfast/base/log.h"
#include "holdfast/base/unique_fd.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::lockd {
namespace {

constexpr std::size_t kLinesMax = 100;        // of output that are logged
constexpr std::size_t kLineSizeMax = 500;     // the rest of a line is dropped
constexpr std::chrono::seconds kDyingMax{5};  // from SIGKILL to the end of the process
constexpr std::chrono::milliseconds kLook{20};

constexpr std::array<std::string_view, 5> kPlaceholders{"{address}", "{session}", "{volume}",
                                                        "{volume_name}", "{node}"};

std::string uuid(const VolumeId& volume) {
  std::string out;
  for (std::size_t i = 0; i < volume.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", volume[i]);
  }
  return out;
}

std::string one_line(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) c = '?';
  }
  return out;
}

std::string value_of(std::string_view placeholder, const SessionRecord& victim) {
  if (placeholder == "{address}") return one_line(victim.address);
  if (placeholder == "{session}") return fmt::format("{:016x}", victim.session.value);
  if (placeholder == "{volume}") return uuid(victim.volume);
  if (placeholder == "{volume_name}") return one_line(victim.volume_name);
  return one_line(victim.node);
}

// A started child. Whatever happens, its process group does not outlive this object.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ <= 0) return;
    kill();
    static_cast<void>(reaped());  // else a zombie until lockd ends
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void kill() const { ::kill(-pid_, SIGKILL); }
  /// True once it has ended; status() is then that of waitpid(2).
  [[nodiscard]] bool reaped() {
    if (pid_ > 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
    return pid_ < 0;
  }
  [[nodiscard]] int status() const { return status_; }

 private:
  pid_t pid_;
  int status_ = -1;
};

// Started in a process group of its own, with the signals as a fresh process has them. 0 or errno.
int spawn(const std::vector<std::string>& argv, int output, pid_t& pid) {
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(
      &attributes,
      static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  ::posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  std::vector<char*> words;
  for (const std::string& word : argv)
    words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  const int failed =
      ::posix_spawnp(&pid, words.front(), &files, &attributes, words.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  return failed;
}

// What the command prints, a line at a time.
class Output {
 public:
  explicit Output(SessionId session) : session_(session) {}
  void take(std::string_view bytes) {
    for (const char c : bytes) {
      if (c == '\n') {
        flush();
      } else if (line_.size() < kLineSizeMax) {
        line_ += c == '"' ? '\'' : c;
      }
    }
  }
  void flush() {
    if (line_.empty()) return;
    if (lines_++ < kLinesMax) {
      log::info("fence.output", "session={:016x} text=\"{}\"", session_.value, one_line(line_));
    }
    line_.clear();
  }

 private:
  SessionId session_;
  std::string line_;
  std::size_t lines_ = 0;
};

// All that is there now; the pipe does not block.
void drain(int fd, Output& output) {
  std::array<char, 4096> chunk{};
  for (;;) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got <= 0) return;
    output.take({chunk.data(), static_cast<std::size_t>(got)});
  }
}

bool report(SessionId session, int status, bool timed_out) {
  if (timed_out) {
    log::error("fence.command_failed", "session={:016x} why=\"time limit\"", session.value);
  } else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return true;
  } else if (WIFEXITED(status)) {
    log::error("fence.command_failed", "session={:016x} exit={}", session.value,
               WEXITSTATUS(status));
  } else {
    log::error("fence.command_failed", "session={:016x} signal={}", session.value,
               WTERMSIG(status));
  }
  return false;
}

}  // namespace

std::string fence_command_error(const std::vector<std::string>& argv) {
  if (argv.empty() || argv.front().empty()) return "it names no program";
  for (const std::string& word : argv) {
    std::string rest = word;
    for (const std::string_view placeholder : kPlaceholders) {
      for (auto at = rest.find(placeholder); at != std::string::npos; at = rest.find(placeholder))
        rest.erase(at, placeholder.size());
    }
    const auto open = rest.find('{');
    if (open != std::string::npos && rest.find('}', open) != std::string::npos) {
      return "unknown placeholder in '" + word + "'";
    }
  }
  return {};
}

std::vector<std::string> expand_fence_command(const std::vector<std::string>& argv,
                                              const SessionRecord& victim) {
  std::vector<std::string> out;
  for (const std::string& word : argv) {
    std::string expanded;
    for (std::size_t at = 0; at < word.size();) {
      std::size_t used = 0;
      for (const std::string_view placeholder : kPlaceholders) {
        if (word.compare(at, placeholder.size(), placeholder) != 0) continue;
        expanded += value_of(placeholder, victim);
        used = placeholder.size();
      }
      if (used == 0) expanded += word[at];
      at += used == 0 ? 1 : used;
    }
    if (expanded.starts_with('-') && !word.starts_with('-')) expanded.front() = '_';
    out.push_back(std::move(expanded));
  }
  return out;
}

asio::awaitable<bool> run_fence_command(asio::any_io_executor executor, FenceCommand command,
                                        SessionRecord victim) {
  const std::vector<std::string> argv = expand_fence_command(command.argv, victim);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
    log::error("fence.command_failed", "session={:016x} why=\"pipe: {}\"", victim.session.value,
               std::strerror(errno));
    co_return false;
  }
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  // The program's own writes may block, ours may not.
  ::fcntl(writing.get(), F_SETFL, 0);
  pid_t pid = -1;
  if (const int number = spawn(argv, writing.get(), pid); number != 0) {
    log::error("fence.command_failed", "session={:016x} program={} why=\"{}\"",
               victim.session.value, argv.front(), std::strerror(number));
    co_return false;
  }
  writing.reset();
  Child child(pid);
  Output output(victim.session);
  asio::steady_timer timer(executor);
  const auto until = std::chrono::steady_clock::now() + command.time_max;
  bool timed_out = false;
  // Looked at in turns rather than waited for: fences are rare, and a pipe, a process and a time
  // limit to wait for at once would be the more intricate program.
  while (!child.reaped()) {
    const auto now = std::chrono::steady_clock::now();
    if (!timed_out && now >= until) {
      timed_out = true;
      child.kill();
    }
    if (timed_out && now >= until + kDyingMax) break;  // in a system call that does not end
    timer.expires_after(kLook);
    co_await timer.async_wait(asio::use_awaitable);
    drain(reading.get(), output);
  }
  output.flush();
  co_return report(victim.session, child.status(), timed_out);
}

}  // namespace holdfast::lockd
