#include "fs/fuse/lost_holders.h"

#include "holdfast/base/unique_fd.h"

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::fs {
namespace {

/// As mountinfo names the filesystem of /dev/shm: any whose inode numbers are those of stat(2).
std::string device() {
  std::ifstream table("/proc/self/mountinfo");
  std::string found;
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, root, where;
    fields >> id >> parent >> number >> root >> where;
    if (where == "/dev/shm") found = number;
  }
  return found;
}

/// A process that does `work` and then waits to be killed.
class Process {
 public:
  explicit Process(const std::function<void()>& work) {
    std::array<int, 2> ready{};
    EXPECT_EQ(::pipe(ready.data()), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      work();
      (void)!::write(ready[1], "x", 1);
      for (;;)
        ::pause();
    }
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Process() { end(); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void end() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    pid_ = -1;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

class LostHoldersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const int fd = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat status {};
    ASSERT_EQ(::fstat(fd, &status), 0);
    ::close(fd);
    file_ = status.st_ino;
    ASSERT_FALSE(device().empty());
    holders_.use_device(device());
  }
  void TearDown() override { ::unlink(path_.c_str()); }
  [[nodiscard]] int open_it() const { return ::open(path_.c_str(), O_RDWR | O_CLOEXEC); }

  std::string path_ = "/dev/shm/holdfast-lost-" + std::to_string(::getpid());
  std::uint64_t file_ = 0;
  LostHolders holders_;
};

TEST_F(LostHoldersTest, WhoHasTheFileOpenIsOneAndNobodyElse) {
  const Process loser([this] { (void)open_it(); });
  const Process other([] {});
  EXPECT_FALSE(holders_.include(loser.pid())) << "nothing is lost yet";
  holders_.lost({file_});
  EXPECT_TRUE(holders_.include(loser.pid()));
  EXPECT_FALSE(holders_.include(other.pid()));
  EXPECT_FALSE(holders_.include(::getpid()));
}

TEST_F(LostHoldersTest, WhoOpensItAfterwardsIsNone) {
  const Process loser([this] { (void)open_it(); });
  holders_.lost({file_});
  const Process later([this] { (void)open_it(); });
  EXPECT_FALSE(holders_.include(later.pid()));
}

TEST_F(LostHoldersTest, WhatALoserStartsCountsAsItself) {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe(pipe.data()), 0);
  std::array<int, 2> go{};
  ASSERT_EQ(::pipe(go.data()), 0);
  const Process loser([&] {
    (void)open_it();
    if (::fork() != 0) return;
    char byte = 0;
    (void)!::read(go[0], &byte, 1);  // then a child of a child, without the file
    const pid_t started = ::fork();
    if (started == 0) {
      ::close_range(3, ~0U, 0);
      for (;;)
        ::pause();
    }
    (void)!::write(pipe[1], &started, sizeof started);
    ::waitpid(started, nullptr, 0);
    ::_exit(0);
  });
  holders_.lost({file_});
  ASSERT_EQ(::write(go[1], "x", 1), 1);
  pid_t started = 0;
  ASSERT_EQ(::read(pipe[0], &started, sizeof started), ssize_t{sizeof started});
  EXPECT_TRUE(holders_.include(started));
  ::kill(started, SIGKILL);
}

TEST_F(LostHoldersTest, ClosingTheFileEndsIt) {
  int fd = -1;
  const auto close_on_signal = [&] {
    fd = open_it();
    static int to_close;
    to_close = fd;
    ::signal(SIGUSR1, [](int) { ::close(to_close); });
  };
  const Process loser(close_on_signal);
  holders_.lost({file_});
  EXPECT_TRUE(holders_.include(loser.pid()));
  ::kill(loser.pid(), SIGUSR1);
  bool included = true;
  for (int i = 0; i < 500 && included; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    included = holders_.include(loser.pid());
  }
  EXPECT_FALSE(included);
}

TEST_F(LostHoldersTest, NothingIsLeftWhenTheFileIsOpenNowhere) {
  const Process loser([this] { (void)open_it(); });
  holders_.lost({file_, file_ + 1});
  holders_.keep({file_});
  EXPECT_TRUE(holders_.include(loser.pid()));
  holders_.keep({});
  EXPECT_TRUE(holders_.empty());
  EXPECT_FALSE(holders_.include(loser.pid()));
}

TEST_F(LostHoldersTest, TheSameNumberOnAnotherFilesystemIsNone) {
  const Process other([this] { (void)open_it(); });
  holders_.use_device("0:999999");
  holders_.lost({file_});
  EXPECT_FALSE(holders_.include(other.pid()));
}

// The caller is in a pid namespace that this process does not see into: 0 in the request.
TEST_F(LostHoldersTest, WhoCannotBeSeenIsOneIfNobodyWasSeen) {
  {
    const Process loser([this] { (void)open_it(); });
    holders_.lost({file_});
    EXPECT_FALSE(holders_.include(0));
    holders_.keep({});
  }
  holders_.lost({file_});
  EXPECT_TRUE(holders_.include(0));
  EXPECT_FALSE(holders_.include(::getpid())) << "seen, and it does not have the file open";
}

}  // namespace
}  // namespace holdfast::fs
