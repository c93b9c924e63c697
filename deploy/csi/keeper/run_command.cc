#include "deploy/csi/keeper/run_command.h"

#include "holdfast/base/unique_fd.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::csi {
namespace {

constexpr int kExitSystem = 2;  // as `holdfast mount` says it
constexpr int kLookMs = 20;

pid_t start(const std::string& program, const std::vector<std::string>& arguments, int output) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
  pid_t child = -1;
  const int error =
      ::posix_spawnp(&child, program.c_str(), &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return child;
  errno = error;
  return -1;
}

void take_output(int from, int wait_ms, std::string& out) {
  pollfd ready{from, POLLIN, 0};
  while (::poll(&ready, 1, wait_ms) > 0 && out.size() < kAnswerBytesMax) {
    std::array<char, 1024> buffer{};
    const auto got = ::read(from, buffer.data(), buffer.size());
    if (got <= 0) break;
    out.append(buffer.data(), static_cast<std::size_t>(got));
    wait_ms = 0;
  }
}

}  // namespace

KeeperAnswer run_command(const std::string& program, const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {kExitSystem, std::strerror(errno)};
  const UniqueFd from_child(ends[0]);
  UniqueFd to_us(ends[1]);
  const pid_t child = start(program, arguments, to_us.get());
  if (child < 0) return {kExitSystem, program + ": " + std::strerror(errno)};
  to_us.reset();
  KeeperAnswer out;
  int status = 0;
  // Not until the pipe closes: what the command leaves behind may hold it.
  while (::waitpid(child, &status, WNOHANG) == 0)
    take_output(from_child.get(), kLookMs, out.said);
  take_output(from_child.get(), 0, out.said);
  out.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return out;
}

}  // namespace holdfast::csi
