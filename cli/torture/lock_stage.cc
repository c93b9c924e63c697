#include "cli/torture/lock_stage.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {
using std::literals::operator""ms;
using std::literals::operator""s;
using Clock = std::chrono::steady_clock;

/// How long a release through another mount may take to be seen.
constexpr auto kReleasePatience = 2s;

constexpr long kSyscallUnknown = -1;

/// The system call `pid` sleeps in. /proc/PID/syscall: "running", or the number and its arguments.
long syscall_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/syscall", pid));
  std::string word;
  if (!(file >> word)) return kSyscallUnknown;
  if (word == "running") return kSyscallUnknown - 1;
  return std::strtol(word.c_str(), nullptr, 10);
}

std::string name_of_error(int error) {
  if (error == 0) return "success";
  const char* name = ::strerrorname_np(error);
  return name != nullptr ? name : fmt::format("error {}", error);
}
}  // namespace

LockStage::LockStage(Herd& herd, const Place& place, std::size_t first_view)
    : herd_(herd), place_(place), first_view_(first_view) {
  for (auto& proc : procs_) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0)
      throw std::system_error(errno, std::generic_category(), "socketpair");
    proc.ours.reset(ends[0]);
    proc.theirs.reset(ends[1]);
    ::fcntl(ends[0], F_SETFD, FD_CLOEXEC);  // theirs must survive an exec
  }
}

LockStage::~LockStage() {
  end_all();
}

void LockStage::start(int number) {
  auto& proc = procs_[static_cast<std::size_t>(number)];
  proc.view = (first_view_ + static_cast<std::size_t>(number)) % place_.views.size();
  proc.child_of_ours = true;
  proc.pid = herd_.start([&] {
    WorkerSetup setup;
    setup.files = place_.views[proc.view];
    for (std::size_t i = 0; i < procs_.size(); ++i) {
      setup.sockets[i] = procs_[i].theirs.get();
      procs_[i].ours.reset();
    }
    return serve_lock_steps(setup, number);
  });
}

bool LockStage::wait_gone(int number) {
  auto& proc = procs_[static_cast<std::size_t>(number)];
  proc.waiting = false;
  if (proc.pid < 0) return true;
  // A pid file descriptor also tells about processes that are not our children, and only after
  // their files are closed.
  const UniqueFd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, proc.pid, 0)));
  bool gone = !pidfd;
  if (pidfd) {
    pollfd ready{pidfd.get(), POLLIN, 0};
    gone = ::poll(&ready, 1, static_cast<int>(place_.patience.count())) == 1;
  }
  if (gone) {
    (void)::waitpid(proc.pid, nullptr, WNOHANG);
    proc.pid = -1;
  }
  return gone;
}

void LockStage::end_all() {
  for (auto& proc : procs_)
    if (proc.pid > 0) ::kill(proc.pid, SIGKILL);
  for (int i = 0; i < kProcsMax; ++i)
    (void)wait_gone(i);
}

LockStage::Got LockStage::receive(int number, std::chrono::milliseconds patience) {
  auto& proc = procs_[static_cast<std::size_t>(number)];
  const auto until = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    pollfd ready{proc.ours.get(), POLLIN, 0};
    const int got = ::poll(&ready, 1, static_cast<int>(std::max(left, 0ms).count()));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    Answer answer{};
    if (::recv(proc.ours.get(), &answer, sizeof answer, 0) != static_cast<ssize_t>(sizeof answer))
      return std::nullopt;
    return answer;
  }
}

LockStage::Got LockStage::receive_unless_waiting(int number) {
  const auto until = Clock::now() + place_.patience;
  for (;;) {
    if (const auto answer = receive(number, place_.until_waiting)) return answer;
    const auto call = syscall_of(procs_[static_cast<std::size_t>(number)].pid);
    // Unknown: the kernel does not tell; then time has to do.
    if (call == SYS_fcntl || call == SYS_flock || call == kSyscallUnknown) return std::nullopt;
    if (Clock::now() > until) return std::nullopt;
  }
}

void LockStage::send(int number, const Step& step) {
  const Command command{++sequence_, step};
  (void)::send(procs_[static_cast<std::size_t>(number)].ours.get(), &command, sizeof command,
               MSG_NOSIGNAL);
}

LockInfo LockStage::translate(const LockInfo& raw) const {
  LockInfo out = raw;
  if (raw.type == LockType::kUnlock || raw.holder == kHolderOfd) return out;
  out.holder = kHolderUnknown;
  for (std::size_t i = 0; i < procs_.size(); ++i)
    if (procs_[i].pid > 0 && procs_[i].pid == raw.holder) out.holder = static_cast<int>(i);
  return out;
}

bool LockStage::shown_allowed(const Step& step, const LockInfo& got, const Expected& expected) {
  return std::any_of(expected.shown.begin(), expected.shown.end(), [&](LockInfo allowed) {
    if (!place_.strict_holders && allowed.type != LockType::kUnlock) {
      // FUSE: F_OFD_GETLK always shows -1; the daemon cannot tell an OFD lock from a POSIX one; and
      // a process of another node has no pid here.
      const bool elsewhere =
          allowed.holder >= 0 &&
          procs_[static_cast<std::size_t>(allowed.holder)].view != procs_[step.proc].view;
      const bool nameless = got.holder == kHolderUnknown || got.holder == kHolderOfd;
      if (allowed.holder == kHolderOfd || ((step.ofd || elsewhere) && nameless))
        allowed.holder = got.holder;
    }
    return allowed == got;
  });
}

bool LockStage::may_retry(const Step& step) const {
  const bool is_try = (step.op == Op::kSet || step.op == Op::kFlock) && !step.wait;
  if (!is_try && step.op != Op::kGet) return false;
  const auto view = procs_[step.proc].view;
  return std::any_of(views_that_released_.begin(), views_that_released_.end(),
                     [&](std::size_t other) { return other != view; });
}

std::string LockStage::judge_answer(const ProgramStep& step, const Answer& answer) {
  if (answer.error != step.expected.error) return name_of_error(answer.error);
  if (step.step.op == Op::kGet && answer.error == 0) {
    const auto got = translate(answer.shown);
    if (!shown_allowed(step.step, got, step.expected)) return describe(got);
  }
  if (step.step.op == Op::kFork) {
    auto& child = procs_[step.step.proc2];
    child.pid = answer.pid;
    child.view = procs_[step.step.proc].view;
  }
  return {};
}

std::string LockStage::judge_outside(const ProgramStep& step, std::string& expected) {
  auto& proc = procs_[step.step.proc];
  if (step.step.op == Op::kSignal) {
    ::kill(proc.pid, step.step.restart ? SIGUSR2 : SIGUSR1);
    expected = step.expected.interrupts ? "the wait ends with EINTR" : "the wait goes on";
    const auto answer = (step.expected.interrupts ? receive(step.step.proc, place_.patience)
                                                  : receive_unless_waiting(step.step.proc));
    if (step.expected.interrupts) proc.waiting = false;
    if (answer.has_value() != step.expected.interrupts)
      return answer ? name_of_error(answer->error) : "the wait goes on";
    return answer && answer->error != EINTR ? name_of_error(answer->error) : "";
  }
  expected = "the process ends";
  if (step.step.op == Op::kKill)
    ::kill(proc.pid, SIGKILL);
  else
    send(step.step.proc, step.step);
  const auto pid = proc.pid;
  return wait_gone(step.step.proc) ? "" : "it is still there: " + what_is_it_doing(pid);
}

std::string LockStage::judge_waiters(const Expected& expected_now, std::string& expected) {
  for (const int number : expected_now.wakes) {
    expected = fmt::format("waiting P{} gets its lock", number);
    const auto answer = receive(number, place_.patience);
    procs_[static_cast<std::size_t>(number)].waiting = false;
    if (!answer) return fmt::format("P{} still waits", number);
    if (answer->error != 0) return fmt::format("P{}: {}", number, name_of_error(answer->error));
  }
  for (int number = 0; number < kProcsMax; ++number) {
    if (!procs_[static_cast<std::size_t>(number)].waiting) continue;
    expected = fmt::format("P{} goes on waiting", number);
    if (const auto answer = receive(number, 0ms))
      return fmt::format("P{}: {}", number, name_of_error(answer->error));
  }
  return {};
}

std::string LockStage::judge(const ProgramStep& step, std::string& expected) {
  const auto op = step.step.op;
  if (op == Op::kKill || op == Op::kExit || op == Op::kSignal) return judge_outside(step, expected);
  expected = step.expected.blocks ? "it waits" : name_of_error(step.expected.error);
  if (op == Op::kGet && step.expected.error == 0) {
    expected.clear();
    for (const auto& info : step.expected.shown)
      expected += (expected.empty() ? "" : ", or ") + describe(info);
  }
  const auto begun = Clock::now();
  for (int tries = 1;; ++tries) {
    // Judged is only a try that began after the patience: a slow machine may need all of it for
    // the first.
    const bool last = Clock::now() - begun > kReleasePatience;
    send(step.step.proc, step.step);
    const auto answer = (step.expected.blocks ? receive_unless_waiting(step.step.proc)
                                              : receive(step.step.proc, place_.patience));
    if (step.expected.blocks) {
      procs_[step.step.proc].waiting = !answer;
      return answer ? name_of_error(answer->error) : "";
    }
    if (!answer) return "no answer: " + what_is_it_doing(procs_[step.step.proc].pid);
    auto wrong = judge_answer(step, *answer);
    if (wrong.empty() || !may_retry(step.step)) return wrong;
    if (last) return wrong + fmt::format(" (the last of {} tries)", tries);
    std::this_thread::sleep_for(10ms);
  }
}

std::optional<Mismatch> LockStage::run(const Program& program) {
  for (int proc = 0; proc < program.procs; ++proc)
    start(proc);
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const auto& step = program.steps[i];
    std::string expected;
    auto wrong = judge(step, expected);
    const auto op = step.step.op;
    if (op == Op::kClose || op == Op::kExec || op == Op::kExit || op == Op::kKill)
      views_that_released_.insert(procs_[step.step.proc].view);
    if (wrong.empty()) wrong = judge_waiters(step.expected, expected);
    if (!wrong.empty()) return Mismatch{i, expected, wrong};
  }
  return std::nullopt;
}

}  // namespace holdfast::torture
