#include "cli/mount/lock_file.h"

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

namespace stdfs = std::filesystem;

class LockFileTest : public ::testing::Test {
 protected:
  LockFileTest() {
    std::string pattern = (stdfs::temp_directory_path() / "lock-file-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    directory_ = pattern;
    path_ = directory_ / "one.lock";
  }
  ~LockFileTest() override { stdfs::remove_all(directory_); }

  stdfs::path directory_;
  std::string path_;
};

TEST_F(LockFileTest, OneHoldsItAndTheNextWhenThatOneIsGone) {
  auto first = hold_lock_file(path_, 0600);
  ASSERT_TRUE(first);
  EXPECT_EQ(hold_lock_file(path_, 0600).error(), errno_code(EWOULDBLOCK));
  first->reset();
  EXPECT_TRUE(hold_lock_file(path_, 0600));
}

TEST_F(LockFileTest, AFileOfAKilledHolderIsTaken) {
  { const auto left_behind = hold_lock_file(path_, 0600); }
  ASSERT_TRUE(stdfs::exists(path_));
  EXPECT_TRUE(hold_lock_file(path_, 0600));
}

TEST_F(LockFileTest, SaysWhyThereIsNone) {
  EXPECT_EQ(hold_lock_file(directory_ / "missing" / "one.lock", 0600).error(), errno_code(ENOENT));
}

TEST_F(LockFileTest, NeverTwoHoldItThoughEachRemovesTheName) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 50;
  std::atomic<int> holders{0};
  std::atomic<int> most{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const auto held = hold_lock_file(path_, 0600);
        if (!held) continue;
        const int now = ++holders;
        if (now > most) most = now;
        std::this_thread::yield();
        --holders;
        ::unlink(path_.c_str());
      }
    });
  }
  threads.clear();
  EXPECT_EQ(most, 1);
}

}  // namespace
}  // namespace holdfast::cli
