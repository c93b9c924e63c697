#include "fs/guard/parent_watch.h"

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace holdfast::fs::guard {
namespace {

/// Queued, unlike the first 31: one that somebody else has sent does not hide the kernel's.
int parent_ended() {
  return SIGRTMIN;
}

/// A zombie while other threads of it live (proc(5), "stat").
bool main_thread_ended(pid_t process) {
  std::array<char, 32> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", process);
  const int file = ::open(path.data(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  std::array<char, 256> text{};
  const ssize_t size = ::read(file, text.data(), text.size() - 1);
  ::close(file);
  if (size <= 0) return true;                                   // ESRCH: it has been reaped
  const char* const name_end = std::strrchr(text.data(), ')');  // a name may contain others
  return name_end != nullptr && (name_end[2] == 'Z' || name_end[2] == 'X');
}

}  // namespace

ParentWatch::ParentWatch() : parent_(::getppid()) {
  sigset_t watched;
  ::sigemptyset(&watched);
  ::sigaddset(&watched, parent_ended());
  ::sigprocmask(SIG_BLOCK, &watched, nullptr);
  ::prctl(PR_SET_PDEATHSIG, parent_ended());
  // It may have ended before that. (Dead as a whole it has closed the channel, too.)
  ended_ = main_thread_ended(parent_) || ::getppid() != parent_;
  signals_ = ::signalfd(-1, &watched, SFD_NONBLOCK | SFD_CLOEXEC);
}

ParentWatch::~ParentWatch() {
  if (signals_ >= 0) ::close(signals_);
}

bool ParentWatch::has_ended() {
  signalfd_siginfo signal{};
  while (::read(signals_, &signal, sizeof signal) == sizeof signal) {
    // Sent by the kernel on behalf of the thread that ends.
    if (static_cast<pid_t>(signal.ssi_pid) == parent_) ended_ = true;
  }
  return ended_;
}

}  // namespace holdfast::fs::guard
