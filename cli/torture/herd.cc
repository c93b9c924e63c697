#include "cli/torture/herd.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {
using std::literals::operator""ms;
using std::literals::operator""us;

constexpr int kExitException = 99;

[[noreturn]] void warden_loop(int fd) {
  // Ctrl-C is for the owner, who then ends in order.
  ::setpgid(0, 0);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT})
    ::signal(signal, SIG_IGN);
  char byte = 0;
  while (::read(fd, &byte, 1) < 0 && errno == EINTR) {
  }
  ::kill(0, SIGKILL);
  ::_exit(0);
}
}  // namespace

Herd::Herd() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "pipe");
  UniqueFd read_end(ends[0]);
  leash_.reset(ends[1]);
  warden_ = ::fork();
  if (warden_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (warden_ == 0) {
    leash_.reset();
    warden_loop(read_end.get());
  }
  // Both sides set the group: whoever comes first, it exists before the first child joins it.
  ::setpgid(warden_, warden_);
}

Herd::~Herd() {
  leash_.reset();
  int status = 0;
  while (::waitpid(warden_, &status, 0) < 0 && errno == EINTR) {
  }
}

void Herd::enter_child() {
  leash_.reset();
}

pid_t Herd::start(const std::function<int()>& body) {
  const pid_t parent = ::getpid();
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid > 0) {
    ::setpgid(pid, warden_);
    return pid;
  }
  ::setpgid(0, warden_);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kExitException);
  enter_child();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    ::signal(signal, SIG_DFL);
  int code = kExitException;
  try {
    code = body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "holdfast torture: worker %d: %s\n", ::getpid(), error.what());
  }
  std::fflush(nullptr);
  ::_exit(code);
}

std::optional<int> poll_end(pid_t pid) {
  int status = 0;
  const pid_t got = ::waitpid(pid, &status, WNOHANG);
  if (got == pid) return status;
  if (got < 0 && errno == ECHILD) return 0;
  return std::nullopt;
}

std::optional<int> wait_end(pid_t pid, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  auto nap = 200us;
  for (;;) {
    if (auto status = poll_end(pid)) return status;
    if (std::chrono::steady_clock::now() >= until) return std::nullopt;
    std::this_thread::sleep_for(nap);
    if (nap < 10ms) nap *= 2;
  }
}

bool kill_and_wait(pid_t pid, std::chrono::milliseconds patience) {
  ::kill(pid, SIGKILL);
  return wait_end(pid, patience).has_value();
}

std::string what_is_it_doing(pid_t pid) {
  const auto proc = "/proc/" + std::to_string(pid);
  std::string wchan;
  std::string line;
  std::string state;
  std::ifstream(proc + "/wchan") >> wchan;
  std::ifstream status(proc + "/status");
  while (std::getline(status, line))
    if (line.rfind("State:", 0) == 0) state = line.substr(6);
  std::ifstream syscall_file(proc + "/syscall");
  std::getline(syscall_file, line);
  return fmt::format("pid {} state{} wchan {} syscall {}", pid, state, wchan, line);
}

}  // namespace holdfast::torture
