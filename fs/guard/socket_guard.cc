#include "fs/guard/socket_guard.h"

#include "fs/guard/abort_connection.h"
#include "holdfast/base/log.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::fs::guard {
namespace {

constexpr int kHighFd = 16;  // above the guardian's own numbers, so that no dup2 hits another
constexpr std::chrono::milliseconds kEndMax{1'000};

Result<void> as_result(int error) {
  if (error != 0) return errno_code(error);
  return {};
}

/// posix_spawn(3)'s two objects, destroyed whatever happens.
struct SpawnSettings {
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

}  // namespace

struct SocketGuard::Channel {
  Channel(const asio::any_io_executor& executor, int fd) : descriptor(executor, fd) {}
  [[nodiscard]] int fd() { return descriptor.native_handle(); }
  asio::posix::stream_descriptor descriptor;
};

SocketGuard::SocketGuard(asio::any_io_executor executor, Options options)
    : executor_(std::move(executor)), options_(std::move(options)) {}

SocketGuard::~SocketGuard() {
  stop();
  if (page_ != nullptr) ::munmap(page_, sizeof(Page));
  if (page_fd_ >= 0) ::close(page_fd_);
}

Result<void> SocketGuard::start() {
  if (page_ == nullptr) {
    if (page_fd_ < 0) page_fd_ = ::memfd_create("holdfast-lease", MFD_CLOEXEC);
    if (page_fd_ < 0 || ::ftruncate(page_fd_, sizeof(Page)) != 0) return errno_code(errno);
    void* const memory =
        ::mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE, MAP_SHARED, page_fd_, 0);
    if (memory == MAP_FAILED) return errno_code(errno);
    page_ = ::new (memory) Page;
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    return errno_code(errno);
  channel_ = std::make_shared<Channel>(executor_, ends[0]);
  UniqueFd theirs(ends[1]);
  page_->dismissed = false;
  Result<void> started;
  // It finds that in its channel, even if we are dead before it has begun.
  if (abort_file_) started = send({Command::Kind::kMounted, 0}, abort_file_.get());
  if (started) started = spawn(theirs.get(), page_fd_);
  theirs.reset();  // so that its end is the channel's
  if (started) started = await_ready();
  if (!started) {
    end_process();
    return started;
  }
  listen();
  log::debug("guard.started", "pid={}", pid_);
  return {};
}

Result<void> SocketGuard::spawn(int channel, int page) {
  const UniqueFd channel_high(::fcntl(channel, F_DUPFD_CLOEXEC, kHighFd));
  const UniqueFd page_high(::fcntl(page, F_DUPFD_CLOEXEC, kHighFd));
  if (!channel_high || !page_high) return errno_code(errno);
  SpawnSettings settings;
  auto* const actions = &settings.actions;
  int failed = ::posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
  const auto place = [&](int from, int to) {
    if (failed == 0) failed = ::posix_spawn_file_actions_adddup2(actions, from, to);
  };
  place(STDIN_FILENO, STDOUT_FILENO);  // nobody waits for the end of an output that it keeps open
  place(STDIN_FILENO, STDERR_FILENO);
  place(channel_high.get(), kChannelFd);
  place(page_high.get(), kPageFd);
  if (failed != 0) return as_result(failed);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&settings.attributes, &none);
  // A session of its own from its first instruction: a SIGSTOP to our process group misses it.
  ::posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
  std::string name = kProgramName;
  std::string label = options_.label;
  std::array<char*, 3> arguments{name.data(), label.data(), nullptr};
  return as_result(::posix_spawn(&pid_, options_.program.c_str(), actions, &settings.attributes,
                                 arguments.data(), ::environ));
}

Result<void> SocketGuard::await_ready() {
  pollfd source{.fd = channel_->fd(), .events = POLLIN, .revents = 0};
  const int ready = ::poll(&source, 1, static_cast<int>(kStartMax.count()));
  if (ready == 0) return errno_code(ETIMEDOUT);
  Notice notice;
  const ssize_t size = ::recv(channel_->fd(), &notice, sizeof notice, MSG_DONTWAIT);
  if (size != sizeof notice || notice.kind != Notice::Kind::kReady) return errno_code(EPIPE);
  return {};
}

void SocketGuard::listen() {
  channel_->descriptor.async_wait(
      asio::posix::stream_descriptor::wait_read,
      [this, channel = channel_](const boost::system::error_code& stopped) {
        if (stopped || channel != channel_) return;  // stopped, or another guardian's
        read_notices();
        if (channel == channel_) listen();
      });
}

void SocketGuard::read_notices() {
  for (;;) {
    Notice notice;
    const ssize_t size = ::recv(channel_->fd(), &notice, sizeof notice, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return died(errno_code(size == 0 ? EPIPE : errno));
    if (notice.kind == Notice::Kind::kFired)
      log::info("guard.fired", "connections_reset={} reason=lease_over", notice.sockets);
  }
}

void SocketGuard::died(const ErrorCode& why) {
  log::error("guard.died", "pid={} error=\"{}\" connections_reset={}", pid_, why.message(),
             watched_.size());
  end_process();
  // Whoever owns them connects again, and asks for a guardian then.
  for (const auto& [id, socket] : watched_)
    (void)abort_connection(socket);
  watched_.clear();
}

void SocketGuard::end_process() {
  if (channel_) {
    if (page_ != nullptr) page_->dismissed = true;  // before it sees the channel closed
    boost::system::error_code ignored;
    channel_->descriptor.close(ignored);
    channel_.reset();
  }
  if (pid_ < 0) return;
  const auto until = std::chrono::steady_clock::now() + kEndMax;
  // It ends with its channel; SIGKILL is for one that was stopped by somebody.
  while (::waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= until) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
      break;
    }
    ::usleep(1'000);
  }
  pid_ = -1;
}

void SocketGuard::stop() {
  end_process();
  for (const auto& [id, socket] : watched_)
    (void)abort_connection(socket);
  watched_.clear();
}

void SocketGuard::mounted(UniqueFd abort_file) {
  abort_file_ = std::move(abort_file);
  if (!channel_) return;  // the next guardian is told
  const auto sent = send({Command::Kind::kMounted, 0}, abort_file_.get());
  if (!sent) died(sent.error());
}

void SocketGuard::deadline(Instant at) {
  if (page_ == nullptr) return;
  const std::int64_t time = at.time_since_epoch().count();
  const std::int64_t before = page_->deadline.exchange(time);
  if (before != 0 && before <= time) return;  // the guardian looks again at the old one's time
  if (channel_ && !send({Command::Kind::kLook, 0}, -1)) died(errno_code(EPIPE));
}

bool SocketGuard::may_send() const {
  const std::int64_t until = page_ == nullptr ? 0 : page_->deadline.load();
  return until == 0 || boot_time_now().time_since_epoch().count() < until;
}

Result<WatchId> SocketGuard::watch(int socket) {
  if (watched_.size() >= kSocketsMax) return errno_code(ENFILE);
  if (!channel_) {
    if (const auto started = start(); !started) {
      log::error("guard.cannot_start", "error=\"{}\"", started.error().message());
      return started.error();
    }
  }
  const WatchId id{++last_watch_};
  if (const auto sent = send({Command::Kind::kAdd, id.value}, socket); !sent) {
    died(sent.error());
    return sent.error();
  }
  watched_.emplace(id, socket);
  return id;
}

void SocketGuard::unwatch(WatchId id) {
  if (watched_.erase(id) == 0 || !channel_) return;
  if (const auto sent = send({Command::Kind::kDrop, id.value}, -1); !sent) died(sent.error());
}

Result<void> SocketGuard::send(const Command& command, int carried) {
  Command copy = command;
  iovec part{&copy, sizeof copy};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> rights{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (carried >= 0) {
    message.msg_control = rights.data();
    message.msg_controllen = rights.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof carried);
    std::memcpy(CMSG_DATA(header), &carried, sizeof carried);
  }
  // Never waits: a guardian that reads nothing is none.
  if (::sendmsg(channel_->fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
    return errno_code(errno);
  return {};
}

}  // namespace holdfast::fs::guard
