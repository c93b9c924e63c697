#include "fs/guard/guardian.h"

#include "fs/guard/abort_connection.h"
#include "fs/guard/channel.h"
#include "fs/guard/parent_watch.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

namespace holdfast::fs::guard {
namespace {

constexpr int kExitMountGone = 0;
constexpr int kExitBadStart = 1;
constexpr int kExitStrange = 2;
constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

class Guardian {
 public:
  Guardian(const Page& page, int timer, ParentWatch& mount)
      : page_(page), timer_(timer), mount_(mount) {}

  int run() {
    tell({Notice::Kind::kReady, 0});
    for (;;) {
      set_timer();
      std::array<pollfd, 3> sources{{{.fd = kChannelFd, .events = POLLIN, .revents = 0},
                                     {.fd = timer_, .events = POLLIN, .revents = 0},
                                     {.fd = mount_.descriptor(), .events = POLLIN, .revents = 0}}};
      const int patience = mount_.has_ended() ? 0 : -1;  // it can have ended before we watched
      if (::poll(sources.data(), sources.size(), patience) < 0 && errno != EINTR)
        return end(kExitStrange);
      const bool dead = mount_.has_ended();
      // The channel before anything else: what was sent before the deadline, or before the mount
      // died, is in it.
      const int ended = take_commands();
      if (dead || ended == kExitMountGone) return end_of_mount();
      if (ended >= 0) return end(ended);
      if (is_over()) fire();
    }
  }

 private:
  struct Guarded {
    std::uint64_t watch = 0;
    int socket = -1;
  };

  [[nodiscard]] bool is_over() const {
    const auto deadline = page_.deadline.load();
    return deadline != 0 && now() >= deadline;
  }

  /// To the deadline as it is now. Usually the mount has moved it on when the timer expires, so
  /// this wakes about once in a lease. Without sockets nothing needs to be done in time.
  void set_timer() const {
    const auto deadline = count_ == 0 ? 0 : page_.deadline.load();
    itimerspec at{};  // zero disarms it
    at.it_value.tv_sec = deadline / kSecond;
    at.it_value.tv_nsec = deadline % kSecond;
    ::timerfd_settime(timer_, TFD_TIMER_ABSTIME, &at, nullptr);
  }

  void fire() {
    if (count_ == 0) return;
    tell({Notice::Kind::kFired, static_cast<std::uint32_t>(abort_all())});
  }

  std::size_t abort_all() {
    std::size_t aborted = 0;
    for (Guarded& one : guarded_) {
      if (one.socket < 0) continue;
      abort(one);
      ++aborted;
    }
    return aborted;
  }

  void abort(Guarded& one) {
    (void)abort_connection(one.socket);
    drop(one);
  }

  void drop(Guarded& one) {
    ::close(one.socket);
    one.socket = -1;
    --count_;
  }

  int end(int code) {
    abort_all();
    return code;
  }

  /// Whoever waits for an answer of a dead mount would wait for as long as a thread of it is stuck,
  /// and that may wait for them. First its sockets: whoever goes on must not be overtaken by what
  /// the mount had sent.
  int end_of_mount() {
    abort_all();
    if (kernel_ >= 0 && !page_.dismissed.load()) (void)!::write(kernel_, "1\n", 2);
    return kExitMountGone;
  }

  /// -1 = go on, else the exit code.
  int take_commands() {
    for (;;) {
      Command command;
      iovec part{&command, sizeof command};
      alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> rights{};
      msghdr message{};
      message.msg_iov = &part;
      message.msg_iovlen = 1;
      message.msg_control = rights.data();
      message.msg_controllen = rights.size();
      const ssize_t size = ::recvmsg(kChannelFd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (size < 0 && (errno == EAGAIN || errno == EINTR)) return -1;
      if (size <= 0) return kExitMountGone;
      const int carried = carried_descriptor(message);
      if (size != sizeof command || (message.msg_flags & MSG_CTRUNC) != 0) return kExitStrange;
      if (!perform(command, carried)) return kExitStrange;
    }
  }

  static int carried_descriptor(msghdr& message) {
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return -1;
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
  }

  bool perform(const Command& command, int carried) {
    if (command.kind == Command::Kind::kLook) return true;  // run() does
    if (command.kind == Command::Kind::kMounted) {
      if (kernel_ >= 0) ::close(kernel_);
      kernel_ = carried;
      return kernel_ >= 0;
    }
    for (Guarded& one : guarded_) {
      if (command.kind == Command::Kind::kAdd && one.socket < 0) {
        one = {command.watch, carried};
        ++count_;
        return carried >= 0;
      }
      if (command.kind == Command::Kind::kDrop && one.socket >= 0 && one.watch == command.watch) {
        drop(one);
        return true;
      }
    }
    // Dropped already, because the deadline had passed. A socket we have no room for is not
    // guarded: as bad as having no guardian.
    return command.kind == Command::Kind::kDrop;
  }

  /// Best effort: a frozen mount does not read.
  static void tell(const Notice& notice) {
    (void)::send(kChannelFd, &notice, sizeof notice, MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  const Page& page_;
  int timer_;
  ParentWatch& mount_;
  int kernel_ = -1;  // of the mount, once it is mounted: writing aborts it
  std::size_t count_ = 0;
  std::array<Guarded, kSocketsMax> guarded_{};
};

}  // namespace

int be_guardian() {
  ::prctl(PR_SET_NAME, kProgramName);
  ::close_range(kPageFd + 1, ~0U, 0);
  ParentWatch mount;  // first: whatever is told later comes from a living mount
  ::setsid();         // already leads one if spawned as it should be
  for (const int polite : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP})
    ::signal(polite, SIG_IGN);
  if (::chdir("/") != 0) return kExitBadStart;
  void* const memory = ::mmap(nullptr, sizeof(Page), PROT_READ, MAP_SHARED, kPageFd, 0);
  const int timer = ::timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
  if (memory == MAP_FAILED || timer < 0 || mount.descriptor() < 0) return kExitBadStart;
  ::close(kPageFd);
  return Guardian(*static_cast<const Page*>(memory), timer, mount).run();
}

}  // namespace holdfast::fs::guard
