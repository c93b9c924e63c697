// What a frozen or killed process may still send: nothing, once its deadline has passed.

#include "fs/guard/socket_guard.h"

#include "holdfast/base/unique_fd.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::fs::guard {
namespace {

using namespace std::chrono_literals;

bool eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

/// A TCP connection; the server's end takes little until it reads.
struct Pair {
  Pair() {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int small = 4096;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener.get(), generic, size), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    EXPECT_EQ(::getsockname(listener.get(), generic, &size), 0);
    client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), generic, size), 0);
    server.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(server);
  }
  UniqueFd client;
  UniqueFd server;
};

std::size_t fill(int socket) {
  const std::vector<char> data(65536, 'x');
  std::size_t total = 0;
  for (;;) {
    const auto sent = ::send(socket, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0) return total;
    total += static_cast<std::size_t>(sent);
  }
}

/// Reads until nothing comes any more for a while: how much, and whether the peer reset.
struct Received {
  std::size_t bytes = 0;
  bool reset = false;
};
Received drain(int socket) {
  Received out;
  const timeval patience{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::array<char, 65536> buffer{};
  for (;;) {
    const auto got = ::recv(socket, buffer.data(), buffer.size(), 0);
    if (got > 0) out.bytes += static_cast<std::size_t>(got);
    if (got < 0 && errno == ECONNRESET) out.reset = true;
    if (got <= 0) return out;
  }
}

SocketGuard::Options options() {
  return {.label = "test", .program = HOLDFAST_TEST_GUARD};
}

enum class Guarded { kNo, kYes };
enum class End { kFrozen, kKilled };

/// A process fills a connection that nobody reads, and then freezes or dies. `after` is what its
/// next send() says when it goes on.
struct Outcome {
  std::size_t queued = 0;
  Received received;
  int after = 0;
};
Outcome run(Guarded guarded, End end) {
  Pair pair;
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe(pipe.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    pair.server.reset();
    boost::asio::io_context io;
    SocketGuard guard(io.get_executor(), options());
    if (guarded == Guarded::kYes) {
      if (!guard.start() || !guard.watch(pair.client.get())) ::_exit(100);
    }
    const std::size_t queued = fill(pair.client.get());
    guard.deadline(boot_time_now() + (end == End::kFrozen ? Duration(200ms) : Duration(1h)));
    if (::write(pipe[1], &queued, sizeof queued) != sizeof queued) ::_exit(101);
    if (end == End::kKilled) ::raise(SIGKILL);
    ::raise(SIGSTOP);
    const auto sent = ::send(pair.client.get(), "late", 4, MSG_DONTWAIT | MSG_NOSIGNAL);
    ::_exit(sent >= 0 ? 0 : errno);
  }
  Outcome out;
  EXPECT_EQ(::read(pipe[0], &out.queued, sizeof out.queued), ssize_t{sizeof out.queued});
  ::close(pipe[0]);
  ::close(pipe[1]);
  pair.client.reset();
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, WUNTRACED), child);
  std::this_thread::sleep_for(1s);  // far beyond the deadline
  out.received = drain(pair.server.get());
  if (end == End::kKilled) return out;
  ::kill(child, SIGCONT);
  ::waitpid(child, &status, 0);
  out.after = WEXITSTATUS(status);
  return out;
}

TEST(SocketGuard, WhatAFrozenProcessHasQueuedIsThrownAwayAtTheDeadline) {
  const auto out = run(Guarded::kYes, End::kFrozen);
  EXPECT_LT(out.received.bytes, out.queued);
  EXPECT_TRUE(out.received.reset);
  EXPECT_TRUE(out.after == EPIPE || out.after == ECONNRESET) << out.after;
}

// The control: what the guardian is for.
TEST(SocketGuard, WithoutAGuardianAllOfItArrives) {
  const auto out = run(Guarded::kNo, End::kFrozen);
  EXPECT_EQ(out.received.bytes, out.queued);
  EXPECT_EQ(out.after, 0);
}

TEST(SocketGuard, WhatAKilledProcessHasQueuedIsThrownAwayAtOnce) {
  const auto out = run(Guarded::kYes, End::kKilled);
  EXPECT_LT(out.received.bytes, out.queued);
  EXPECT_TRUE(out.received.reset);
}

class LiveGuard : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(guard_.start()); }
  void TearDown() override {
    guard_.stop();
    EXPECT_EQ(guard_.pid(), -1);
  }
  /// Descriptors that the guardian has open.
  [[nodiscard]] std::size_t descriptors() const {
    std::size_t count = 0;
    const std::string directory = "/proc/" + std::to_string(guard_.pid()) + "/fd";
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(directory))
      ++count;
    return count;
  }
  [[nodiscard]] static bool alive(const Pair& pair) {
    char byte = 0;
    return ::send(pair.client.get(), "x", 1, MSG_NOSIGNAL) == 1 &&
           ::recv(pair.server.get(), &byte, 1, 0) == 1;
  }
  [[nodiscard]] static bool reset(const Pair& pair) {
    return ::send(pair.client.get(), "x", 1, MSG_NOSIGNAL) < 0;
  }

  boost::asio::io_context io_;
  SocketGuard guard_{io_.get_executor(), options()};
};

TEST_F(LiveGuard, HasASessionOfItsOwnANameAndNoDescriptorOfOurs) {
  EXPECT_EQ(::getsid(guard_.pid()), guard_.pid());
  std::ifstream file("/proc/" + std::to_string(guard_.pid()) + "/comm");
  std::string name;
  std::getline(file, name);
  EXPECT_EQ(name, "holdfast-guard");
  const Pair unrelated;
  EXPECT_EQ(descriptors(), 6U);  // /dev/null three times, the channel, the timer, signals
}

TEST_F(LiveGuard, IgnoresPoliteSignals) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGTSTP})
    ::kill(guard_.pid(), signal);
  const Pair pair;
  ASSERT_TRUE(guard_.watch(pair.client.get()));
  guard_.deadline(boot_time_now() + 50ms);
  EXPECT_TRUE(eventually([&] { return reset(pair); }));
}

TEST_F(LiveGuard, ADeadlineThatMovesOnKeepsTheConnection) {
  const Pair pair;
  ASSERT_TRUE(guard_.watch(pair.client.get()));
  for (int i = 0; i < 20; ++i) {
    guard_.deadline(boot_time_now() + 200ms);
    EXPECT_TRUE(guard_.may_send());
    std::this_thread::sleep_for(50ms);
  }
  EXPECT_TRUE(alive(pair));
  EXPECT_TRUE(eventually([&] { return reset(pair); }));
  EXPECT_FALSE(guard_.may_send());
}

TEST_F(LiveGuard, ASocketThatComesAfterTheDeadlineIsResetToo) {
  guard_.deadline(boot_time_now() - 1ms);
  const Pair pair;
  ASSERT_TRUE(guard_.watch(pair.client.get()));
  EXPECT_TRUE(eventually([&] { return reset(pair); }));
}

TEST_F(LiveGuard, AnEarlierDeadlineCounts) {
  const Pair pair;
  ASSERT_TRUE(guard_.watch(pair.client.get()));
  guard_.deadline(boot_time_now() + 1h);
  guard_.deadline(boot_time_now() + 50ms);  // of the next session
  EXPECT_TRUE(eventually([&] { return reset(pair); }));
}

TEST_F(LiveGuard, GivesUpWhatIsUnwatched) {
  const std::size_t before = descriptors();
  const Pair pair;
  const auto watch = guard_.watch(pair.client.get());
  ASSERT_TRUE(watch);
  EXPECT_TRUE(eventually([&] { return descriptors() == before + 1; }));
  guard_.unwatch(*watch);
  EXPECT_TRUE(eventually([&] { return descriptors() == before; }));
  guard_.deadline(boot_time_now() - 1ms);
  std::this_thread::sleep_for(100ms);
  EXPECT_TRUE(alive(pair));
}

TEST_F(LiveGuard, TakesNoMoreThanItHasRoomFor) {
  std::vector<Pair> pairs(kSocketsMax + 1);
  for (std::size_t i = 0; i < kSocketsMax; ++i)
    ASSERT_TRUE(guard_.watch(pairs[i].client.get()));
  EXPECT_EQ(guard_.watch(pairs.back().client.get()).error(), errno_code(ENFILE));
}

TEST_F(LiveGuard, ItsDeathEndsTheConnectionsAndTheNextOneHasANewGuardian) {
  const pid_t first = guard_.pid();
  const Pair pair;
  ASSERT_TRUE(guard_.watch(pair.client.get()));
  ::kill(first, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    io_.restart();
    io_.poll();
    return reset(pair);
  }));
  const Pair next;
  ASSERT_TRUE(guard_.watch(next.client.get()));
  EXPECT_NE(guard_.pid(), first);
  guard_.deadline(boot_time_now() + 50ms);
  EXPECT_TRUE(eventually([&] { return reset(next); }));
}

/// A mount, and how it ends. The descriptors it was guarded with are gone with it, but for those of
/// a thread that stays.
enum class MountEnd { kKilled, kMainThreadOnly, kStopped };
enum class Guardian { kFirst, kSecond };

/// Whether the guardian aborted its connection to the kernel (here the write end of a pipe).
bool aborted_after(MountEnd end, Guardian which = Guardian::kFirst) {
  std::array<int, 2> kernel{};
  EXPECT_EQ(::pipe2(kernel.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    boost::asio::io_context io;
    SocketGuard guard(io.get_executor(), options());
    if (!guard.start()) ::_exit(100);
    guard.mounted(UniqueFd(::dup(kernel[1])));
    if (which == Guardian::kSecond) {
      const Pair pair;
      ::kill(guard.pid(), SIGKILL);
      while (guard.pid() >= 0) {
        io.restart();
        io.poll();
      }
      if (!guard.watch(pair.client.get())) ::_exit(101);
    }
    if (end == MountEnd::kKilled) ::raise(SIGKILL);
    if (end == MountEnd::kStopped) guard.stop();
    if (end == MountEnd::kMainThreadOnly) {
      std::thread([] { ::pause(); }).detach();
      ::syscall(SYS_exit, 0);  // this thread's end, without the process's
    }
    ::_exit(0);
  }
  ::close(kernel[1]);
  char byte = 0;
  // Readable after the write, or when all who could write are gone. A thread that stays is one.
  pollfd source{.fd = kernel[0], .events = POLLIN, .revents = 0};
  const bool aborted = ::poll(&source, 1, 15'000) == 1 && ::read(kernel[0], &byte, 1) == 1;
  ::close(kernel[0]);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return aborted;
}

TEST(GuardOfADeadMount, AbortsItsConnectionToTheKernel) {
  EXPECT_TRUE(aborted_after(MountEnd::kKilled));
}

TEST(GuardOfADeadMount, AbortsItWhenOnlyTheMainThreadIsDead) {
  EXPECT_TRUE(aborted_after(MountEnd::kMainThreadOnly));
}

TEST(GuardOfADeadMount, AbortsItAlsoAsTheSecondGuardian) {
  EXPECT_TRUE(aborted_after(MountEnd::kMainThreadOnly, Guardian::kSecond));
}

TEST(GuardOfADeadMount, LeavesItAloneWhenTheMountEndsAsItShould) {
  EXPECT_FALSE(aborted_after(MountEnd::kStopped));
}

TEST_F(LiveGuard, TakesTheSignalOfADeadMountFromNobodyElse) {
  std::array<int, 2> kernel{};
  ASSERT_EQ(::pipe2(kernel.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd reader(kernel[0]);
  guard_.mounted(UniqueFd(kernel[1]));
  const pid_t stranger = ::fork();
  if (stranger == 0) ::_exit(::kill(guard_.pid(), SIGRTMIN) == 0 ? 0 : 1);
  int status = 0;
  ::waitpid(stranger, &status, 0);
  EXPECT_EQ(status, 0);
  // It goes on guarding.
  const Pair pair;
  ASSERT_TRUE(guard_.watch(pair.client.get()));
  guard_.deadline(boot_time_now() + 50ms);
  EXPECT_TRUE(eventually([&] { return reset(pair); }));
  char byte = 0;
  EXPECT_LT(::read(reader.get(), &byte, 1), 0);
}

TEST(SocketGuardStart, FailsWhereTheProgramIsNotAGuardian) {
  boost::asio::io_context io;
  SocketGuard guard(io.get_executor(), {.label = "test", .program = "/bin/true"});
  EXPECT_FALSE(guard.start());
  SocketGuard nothing(io.get_executor(), {.label = "test", .program = "/nowhere"});
  EXPECT_EQ(nothing.start().error(), errno_code(ENOENT));
}

}  // namespace
}  // namespace holdfast::fs::guard
