#include "cli/torture/lock_worker.h"

#include <cerrno>
#include <csignal>
#include <sstream>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {

// Signals other than these keep their default. The handler does nothing: it only interrupts.
void install_handlers() {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  ::sigaction(SIGUSR1, &action, nullptr);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR2, &action, nullptr);
  ::signal(SIGCHLD, SIG_IGN);  // forked processes leave no zombies
}

class LockWorker {
 public:
  LockWorker(const WorkerSetup& setup, int proc) : setup_(setup), proc_(proc) { fds_.fill(-1); }

  std::array<int, kFdsMax>& fds() { return fds_; }

  int serve() {
    install_handlers();
    for (;;) {
      Command command{};
      const auto got = ::recv(socket(), &command, sizeof command, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got != static_cast<ssize_t>(sizeof command)) return 0;
      Answer answer{.sequence = command.sequence, .error = 0, .pid = 0, .shown = {}};
      run(command.step, answer);
      (void)::send(socket(), &answer, sizeof answer, MSG_NOSIGNAL);
    }
  }

  /// After an exec the coordinator still waits for the answer.
  void answer_exec(std::uint64_t sequence) {
    const Answer answer{.sequence = sequence, .error = 0, .pid = 0, .shown = {}};
    (void)::send(socket(), &answer, sizeof answer, MSG_NOSIGNAL);
  }

 private:
  [[nodiscard]] int socket() const { return setup_.sockets[static_cast<std::size_t>(proc_)]; }

  void run(const Step& step, Answer& answer) {
    switch (step.op) {
      case Op::kOpen:
        answer.error = open_file(step);
        break;
      case Op::kClose:
        answer.error = ::close(fds_[step.fd]) == 0 ? 0 : errno;
        fds_[step.fd] = -1;
        break;
      case Op::kDup:
        fds_[step.fd2] = ::dup(fds_[step.fd]);
        answer.error = fds_[step.fd2] >= 0 ? 0 : errno;
        break;
      case Op::kSet:
        answer.error = set(step);
        break;
      case Op::kGet:
        answer.error = get(step, answer.shown);
        break;
      case Op::kFlock:
        answer.error = flock(step);
        break;
      case Op::kFork:
        fork_child(step, answer);
        break;
      case Op::kExec:
        answer.error = exec(answer.sequence);
        break;
      case Op::kExit:
        ::_exit(0);
      case Op::kKill:
      case Op::kSignal:
        break;  // come from outside
    }
  }

  int open_file(const Step& step) {
    const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR};
    const int flags = modes[static_cast<int>(step.mode)] | (step.close_on_exec ? O_CLOEXEC : 0);
    fds_[step.fd] = ::open(setup_.files[step.file].c_str(), flags);
    return fds_[step.fd] >= 0 ? 0 : errno;
  }

  static struct flock request_of(const Step& step) {
    struct flock request {};
    request.l_type = step.type == LockType::kRead    ? F_RDLCK
                     : step.type == LockType::kWrite ? F_WRLCK
                                                     : F_UNLCK;
    request.l_whence = SEEK_SET;
    request.l_start = step.start;
    request.l_len = step.length;
    return request;
  }

  int set(const Step& step) {
    auto request = request_of(step);
    const int command =
        step.ofd ? (step.wait ? F_OFD_SETLKW : F_OFD_SETLK) : (step.wait ? F_SETLKW : F_SETLK);
    if (::fcntl(fds_[step.fd], command, &request) == 0) return 0;
    return errno == EACCES ? EAGAIN : errno;  // POSIX allows either
  }

  int get(const Step& step, LockInfo& shown) {
    auto request = request_of(step);
    if (::fcntl(fds_[step.fd], step.ofd ? F_OFD_GETLK : F_GETLK, &request) != 0) return errno;
    shown = {};
    if (request.l_type == F_UNLCK) return 0;
    shown = {request.l_type == F_WRLCK ? LockType::kWrite : LockType::kRead, request.l_start,
             request.l_len, request.l_pid};
    return 0;
  }

  int flock(const Step& step) {
    const int how = step.type == LockType::kRead    ? LOCK_SH
                    : step.type == LockType::kWrite ? LOCK_EX
                                                    : LOCK_UN;
    return ::flock(fds_[step.fd], step.wait ? how : how | LOCK_NB) == 0 ? 0 : errno;
  }

  void fork_child(const Step& step, Answer& answer) {
    const pid_t pid = ::fork();
    if (pid < 0) {
      answer.error = errno;
    } else if (pid == 0) {
      proc_ = step.proc2;
      ::_exit(serve());
    }
    answer.pid = pid;
  }

  int exec(std::uint64_t sequence) {
    std::ostringstream state;
    state << sequence << ' ' << proc_;
    for (const int socket : setup_.sockets)
      state << ' ' << socket;
    for (const int fd : fds_) {
      // What close-on-exec closes is no descriptor of ours afterwards.
      const bool stays = fd >= 0 && (::fcntl(fd, F_GETFD) & FD_CLOEXEC) == 0;
      state << ' ' << (stays ? fd : -1);
    }
    for (const auto& file : setup_.files)
      state << '\n' << file;
    const auto text = state.str();
    ::execl("/proc/self/exe", "holdfast", kAfterExec, text.c_str(), nullptr);
    return errno;
  }

  WorkerSetup setup_;
  int proc_;
  std::array<int, kFdsMax> fds_{};
};
}  // namespace

int serve_lock_steps(const WorkerSetup& setup, int proc) {
  return LockWorker(setup, proc).serve();
}

int serve_after_exec(const std::string& state) {
  std::istringstream in(state);
  std::uint64_t sequence = 0;
  int proc = 0;
  WorkerSetup setup;
  std::array<int, kFdsMax> fds{};
  in >> sequence >> proc;
  for (auto& socket : setup.sockets)
    in >> socket;
  for (auto& fd : fds)
    in >> fd;
  in.ignore(1, '\n');
  for (auto& file : setup.files)
    std::getline(in, file);
  if (!in || proc < 0 || proc >= kProcsMax) return 2;
  LockWorker worker(setup, proc);
  worker.fds() = fds;
  install_handlers();  // before the answer: a signal may follow it at once
  worker.answer_exec(sequence);
  return worker.serve();
}

}  // namespace holdfast::torture
