// The storage restarts between a write and its commit. Nobody reads what was there before.

#include "tests/integration/fuse/fixture.h"

#include <csignal>
#include <cstdlib>

#include <sys/stat.h>

namespace holdfast::test {
namespace {

class StorageRestart : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0)
      GTEST_SKIP() << "needs root and /dev/fuse: NOTHING WAS TESTED";
    ::setenv("HOLDFAST_TEST_FORGETFUL", "1", 1);
    if (*GetParam() == 'b') ::setenv("HOLDFAST_TEST_CACHE", "tokens", 1);
    mounts_ = std::make_unique<Mounts>(1);
    ::unsetenv("HOLDFAST_TEST_FORGETFUL");
    ::unsetenv("HOLDFAST_TEST_CACHE");
    ASSERT_TRUE(mounts_->ready()) << "the mounts did not come up";
  }
  [[nodiscard]] std::string at(const std::string& name) const { return mounts_->at(0, name); }
  /// Without asking the mount for anything: a close would commit.
  void restart_storage() const {
    ::kill(mounts_->mount_process(0), SIGUSR1);
    const std::string sign = mounts_->backing("restarted");
    ASSERT_TRUE(eventually([&] { return ::access(sign.c_str(), F_OK) == 0; }));
  }

  std::unique_ptr<Mounts> mounts_;
};

TEST_P(StorageRestart, AReadBeforeTheCommitSeesWhatWasWritten) {
  ASSERT_EQ(put(at("file"), "old old old"), 0);
  const int fd = open_file(at("file"), O_RDWR);
  ASSERT_EQ(::pwrite(fd, "new", 3, 4), 3);
  ASSERT_EQ(::pwrite(fd, "longer", 6, 20), 6);
  restart_storage();
  // A handle without pages: another open file drops those of the inode.
  for (int round = 0; round < 20; ++round) {
    const std::string seen = get(at("file"));
    EXPECT_EQ(seen, std::string("old new old") + std::string(9, '\0') + "longer");
    struct stat st {};
    ASSERT_EQ(::stat(at("file").c_str(), &st), 0);
    EXPECT_EQ(st.st_size, 26);
  }
  ASSERT_EQ(::fsync(fd), 0);
  ::close(fd);
  EXPECT_EQ(get(mounts_->backing("file")), get(at("file")));
}

TEST_P(StorageRestart, AFileRenamedOverAnotherIsThereAfterTheStorageDied) {
  ASSERT_EQ(put(at("config"), "old"), 0);
  const int fd = open_file(at("config.new"));
  ASSERT_EQ(::write(fd, "fresh", 5), 5);
  ASSERT_EQ(::rename(at("config.new").c_str(), at("config").c_str()), 0);
  if (*GetParam() == 'b') {
    EXPECT_EQ(get(mounts_->backing("config")), "fresh");
  }
  ASSERT_EQ(::fsync(fd), 0);
  ::close(fd);
  EXPECT_EQ(get(mounts_->backing("config")), "fresh");
}

TEST_P(StorageRestart, AppendsFollowEachOther) {
  const int fd = open_file(at("log"), O_RDWR | O_CREAT | O_APPEND);
  for (int line = 0; line < 50; ++line)
    ASSERT_EQ(::write(fd, "line\n", 5), 5);
  struct stat st {};
  ASSERT_EQ(::fstat(fd, &st), 0);
  EXPECT_EQ(st.st_size, 250);
  EXPECT_EQ(get(at("log")).size(), 250U);
  ASSERT_EQ(::ftruncate(fd, 7), 0);
  ASSERT_EQ(::write(fd, "x", 1), 1);
  ASSERT_EQ(::fsync(fd), 0);  // a close alone sends nothing under a token
  ::close(fd);
  EXPECT_EQ(get(mounts_->backing("log")), "line\nlix");
}

INSTANTIATE_TEST_SUITE_P(Modes, StorageRestart, ::testing::Values("through", "behind"),
                         [](const auto& mode) { return std::string(mode.param); });

}  // namespace
}  // namespace holdfast::test
