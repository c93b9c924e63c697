// The storage refuses what must be stable before others may have the file: then it is lost, and
// told, and never sent later.

#include "tests/integration/fuse/fixture.h"

#include <csignal>
#include <cstdlib>
#include <string_view>

namespace holdfast::test {
namespace {

class FlushFailure : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0)
      GTEST_SKIP() << "needs root and /dev/fuse: NOTHING WAS TESTED";
    ::setenv("HOLDFAST_TEST_FORGETFUL", "1", 1);
    ::setenv("HOLDFAST_TEST_CACHE", GetParam(), 1);
    mounts_ = std::make_unique<Mounts>(2);
    ::unsetenv("HOLDFAST_TEST_FORGETFUL");
    ::unsetenv("HOLDFAST_TEST_CACHE");
    ASSERT_TRUE(mounts_->ready()) << "the mounts did not come up";
  }
  [[nodiscard]] std::string a(const std::string& name) const { return mounts_->at(0, name); }
  [[nodiscard]] std::string b(const std::string& name) const { return mounts_->at(1, name); }
  /// To the storage of the first mount.
  void tell(int signal, const std::string& sign) const {
    const std::string path = mounts_->backing(sign);
    ::unlink(path.c_str());
    ::kill(mounts_->mount_process(0), signal);
    ASSERT_TRUE(eventually([&] { return ::access(path.c_str(), F_OK) == 0; }));
  }
  void fill_storage() const { tell(SIGUSR2, "full"); }
  void empty_storage() const { tell(SIGUSR2, "space"); }

  std::unique_ptr<Mounts> mounts_;
};

TEST_P(FlushFailure, WhatAnotherNodeCouldNotBeGivenIsNeverSent) {
  ASSERT_EQ(put(b("file"), "old"), 0);
  const int fd = open_file(a("file"), O_RDWR);
  ASSERT_EQ(set_lock(fd, F_SETLK, F_WRLCK), 0);
  ASSERT_EQ(::pwrite(fd, "new", 3, 0), 3);
  fill_storage();
  tell(SIGUSR1, "restarted");  // what it had not made stable is gone
  // With tokens nobody else can see the data yet: it is kept, to be tried again. Without, the lock
  // must not go before the data is stable: it is lost, and the program hears so.
  const bool kept = std::string_view(GetParam()) == "tokens";
  ASSERT_EQ(set_lock(fd, F_SETLK, F_UNLCK), kept ? 0 : EIO);
  EXPECT_EQ(get(b("file")), "old");
  empty_storage();
  ASSERT_EQ(put(b("file"), "theirs"), 0);
  char byte = 0;
  EXPECT_EQ(::pread(fd, &byte, 1, 0), -1) << "its own write would be missing";
  EXPECT_EQ(errno, ESTALE);
  EXPECT_EQ(::fsync(fd), -1);
  EXPECT_EQ(errno, EIO);
  ::close(fd);
  EXPECT_EQ(get(a("file")), "theirs");
  const int other = open_file(b("file"), O_RDWR);
  EXPECT_EQ(set_lock(other, F_SETLK, F_WRLCK), 0) << "the lock of the dead handle is gone";
  ::close(other);
  EXPECT_EQ(mounts_->stop_mount(0), 0);  // sends whatever waits
  EXPECT_EQ(mounts_->stop_mount(1), 0);
  EXPECT_EQ(get(mounts_->backing("file")), "theirs");
}

INSTANTIATE_TEST_SUITE_P(Modes, FlushFailure, ::testing::Values("none", "tokens"),
                         [](const auto& mode) { return std::string(mode.param); });

}  // namespace
}  // namespace holdfast::test
