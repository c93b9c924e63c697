// How a mount ends: cleanly, with files in use, and together with its process.
#include "fs/fuse/abort_file.h"
#include "tests/integration/fuse/fixture.h"

#include <csignal>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace holdfast::test {
namespace {

class Unmount : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0)
      GTEST_SKIP() << "needs root and /dev/fuse: NOTHING WAS TESTED";
  }
};

TEST_F(Unmount, UmountEndsTheProcessWithEverythingWritten) {
  Mounts mounts(1);
  ASSERT_TRUE(mounts.ready());
  ASSERT_EQ(put(mounts.at(0, "file"), "data"), 0);
  ASSERT_EQ(::umount2(mounts.at(0).c_str(), 0), 0);
  EXPECT_EQ(mounts.wait_mount(0), 0);
  EXPECT_EQ(get(mounts.backing("file")), "data");
}

TEST_F(Unmount, ASignalUnmountsAndFilesInUseGetTheirTime) {
  Mounts mounts(1);
  ASSERT_TRUE(mounts.ready());
  const int fd = open_file(mounts.at(0, "file"));
  Child closer([fd] {
    ::usleep(400'000);
    return ::write(fd, "late", 4) == 4 && ::fsync(fd) == 0 && ::close(fd) == 0 ? 0 : 1;
  });
  ::close(fd);
  EXPECT_EQ(mounts.stop_mount(0), 0);
  EXPECT_EQ(closer.wait(), 0);
  EXPECT_EQ(get(mounts.backing("file")), "late");
}

TEST_F(Unmount, AFileThatIsNeverClosedDoesNotKeepTheProcess) {
  Mounts mounts(1);
  ASSERT_TRUE(mounts.ready());
  const int fd = open_file(mounts.at(0, "file"));
  EXPECT_EQ(mounts.stop_mount(0), 0);
  EXPECT_EQ(::write(fd, "x", 1), -1);
  EXPECT_EQ(errno, ENOTCONN);
  ::close(fd);
}

// As in a container: the file that ends the connection is had all the same.
TEST_F(Unmount, ItCanBeAbortedWhereFusectlIsNotMounted) {
  Mounts mounts(1);
  ASSERT_TRUE(mounts.ready());
  struct stat root {};
  ASSERT_EQ(::stat(mounts.at(0, "").c_str(), &root), 0);
  Child aborts([&] {
    if (::unshare(CLONE_NEWNS) != 0) return errno;
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    while (::umount2("/sys/fs/fuse/connections", MNT_DETACH) == 0) {
    }
    const auto file = fs::open_abort_file(std::to_string(minor(root.st_dev)));
    return file && ::write(file->get(), "1", 1) == 1 ? 0 : EIO;
  });
  EXPECT_EQ(aborts.wait(), 0);
  EXPECT_EQ(put(mounts.at(0, "file"), "data"), -1);
  EXPECT_EQ(errno, ENOTCONN);
}

}  // namespace
}  // namespace holdfast::test
