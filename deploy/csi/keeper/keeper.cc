#include "deploy/csi/keeper/keeper.h"

#include "deploy/csi/keeper/protocol.h"
#include "deploy/csi/keeper/run_command.h"
#include "holdfast/base/log.h"
#include "holdfast/base/unique_fd.h"
#include "holdfast/base/unix_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::csi {
namespace {

constexpr int kExitOk = 0;
constexpr int kExitStart = 1;
constexpr int kExitUsage = 1;  // as `holdfast mount` says it
constexpr int kBacklog = 64;
constexpr int kRequestMaxMs = 5'000;
constexpr unsigned kRequestsMax = 64;  // at once; more wait in the backlog

std::optional<UniqueFd> listen_at(const std::string& path) {
  const auto name = unix_name(path);
  if (!name) {
    errno = name.error().value();
    return std::nullopt;
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ::unlink(path.c_str());             // of a former life
  const mode_t mask = ::umask(0177);  // root alone may ask for mounts
  const bool bound =
      socket && ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&*name), sizeof *name) == 0;
  ::umask(mask);
  if (!bound || ::listen(socket.get(), kBacklog) != 0) return std::nullopt;
  return socket;
}

std::string read_request(int connection) {
  std::string out;
  while (out.size() <= kRequestBytesMax) {
    pollfd ready{connection, POLLIN, 0};
    if (::poll(&ready, 1, kRequestMaxMs) <= 0) return {};
    std::array<char, 4096> buffer{};
    const auto got = ::read(connection, buffer.data(), buffer.size());
    if (got < 0) return {};
    if (got == 0) return out;
    out.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return {};
}

/// One command at a time for one place: a driver that was killed while its mount was being made
/// asks again, and two mounts on top of each other are one too many. The lock goes with this
/// process.
UniqueFd take_turn(const std::string& target) {
  const std::string parent = std::filesystem::path(target).parent_path();
  UniqueFd directory(::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) static_cast<void>(::flock(directory.get(), LOCK_EX));
  return directory;
}

KeeperAnswer carry_out(const std::string& program, const std::string& request) {
  const auto command = command_for(request);
  if (!command) return {kExitUsage, "the keeper does not understand this request"};
  const UniqueFd turn = take_turn(target_of(*command));
  const KeeperAnswer answer = run_command(program, *command);
  log::info("keeper.ran", "command={} target={} exit={}", command->front(), target_of(*command),
            answer.exit_code);
  return answer;
}

/// In a child of its own.
void serve_one(const std::string& program, int connection) {
  const std::string answer = encode_answer(carry_out(program, read_request(connection)));
  // Nobody may listen any more; the mount stands all the same.
  static_cast<void>(::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL));
}

class Keeper {
 public:
  Keeper(const KeeperOptions& options, UniqueFd listener, UniqueFd signals, sigset_t before)
      : options_(options),
        listener_(std::move(listener)),
        signals_(std::move(signals)),
        signals_before_(before) {}

  void run() {
    while (!stop_) {
      const short accepts = running_.size() < kRequestsMax ? POLLIN : 0;
      std::array<pollfd, 2> ready{{{signals_.get(), POLLIN, 0}, {listener_.get(), accepts, 0}}};
      if (::poll(ready.data(), ready.size(), -1) < 0) continue;
      if (ready[0].revents != 0) take_signal();
      if ((ready[1].revents & POLLIN) != 0) accept_one();
    }
  }

 private:
  void take_signal() {
    signalfd_siginfo info{};
    if (::read(signals_.get(), &info, sizeof(info)) != sizeof(info)) return;
    if (info.ssi_signo != SIGCHLD) {
      stop_ = true;
      return;
    }
    for (pid_t ended = 0; (ended = ::waitpid(-1, nullptr, WNOHANG)) > 0;)
      running_.erase(std::remove(running_.begin(), running_.end(), ended), running_.end());
  }

  void accept_one() {
    const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) return;
    const pid_t child = ::fork();
    if (child < 0) return log::error("keeper.fork", "error=\"{}\"", std::strerror(errno));
    if (child > 0) {
      running_.push_back(child);
      return;
    }
    listener_.reset();
    signals_.reset();
    ::sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
    serve_one(options_.program, connection.get());
    ::_exit(0);
  }

  const KeeperOptions& options_;
  UniqueFd listener_;
  UniqueFd signals_;
  sigset_t signals_before_;
  std::vector<pid_t> running_;
  bool stop_ = false;
};

}  // namespace

int keep(const KeeperOptions& options) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  sigset_t wanted;
  sigset_t before;
  ::sigemptyset(&wanted);
  for (const int signal : {SIGCHLD, SIGTERM, SIGINT})
    ::sigaddset(&wanted, signal);
  ::sigprocmask(SIG_BLOCK, &wanted, &before);
  UniqueFd signals(::signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK));
  auto listener = listen_at(options.socket_path);
  if (!listener || !signals) {
    std::cerr << "holdfast-csi-keeper: cannot listen at " << options.socket_path << ": "
              << std::strerror(errno) << '\n';
    return kExitStart;
  }
  log::info("keeper.started", "socket={} program={}", options.socket_path, options.program);
  Keeper(options, std::move(*listener), std::move(signals), before).run();
  log::info("keeper.stopped", "note=\"mounts go on\"");
  return kExitOk;
}

}  // namespace holdfast::csi
