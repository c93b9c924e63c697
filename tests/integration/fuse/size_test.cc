// The kernel drops the attributes that it asked for if the inode was invalidated meanwhile, and
// then reads within the size that it had before. A program with a lock must not notice (I4).

#include "tests/integration/fuse/fixture.h"

#include <cstdlib>

#include <sys/stat.h>

namespace holdfast::test {
namespace {

/// Attributes come late, so that something always happens between the question and the answer.
class Size : public TwoMounts {
 protected:
  static void SetUpTestSuite() {
    ::setenv("HOLDFAST_TEST_SLOW_ATTRIBUTES_MS", "15", 1);
    TwoMounts::SetUpTestSuite();
    ::unsetenv("HOLDFAST_TEST_SLOW_ATTRIBUTES_MS");
  }
};

constexpr off_t kDataLock = off_t{1} << 40;  // whoever has this byte may change the file
constexpr off_t kOtherLock = kDataLock + 1;

/// Takes and gives back another lock of the file, and reads: each grant drops its pages.
int lock_something_else(const std::string& path, const std::string& until) {
  const int fd = open_file(path, O_RDWR);
  while (::access(until.c_str(), F_OK) != 0) {
    char byte = 0;
    if (set_lock(fd, F_SETLKW, F_WRLCK, kOtherLock, 1) != 0) return 1;
    if (::pread(fd, &byte, 1, 0) != 1) return 2;
    if (set_lock(fd, F_SETLKW, F_UNLCK, kOtherLock, 1) != 0) return 3;
  }
  return 0;
}

TEST_F(Size, ALockedReadSeesWhatAnotherNodeAppendedWhileTheInodeIsInvalidatedAllTheTime) {
  ASSERT_EQ(put(a("grows"), "12345678"), 0);
  Child other([] { return lock_something_else(a("grows"), back("grows.done")); });
  const int here = open_file(a("grows"), O_RDWR);
  const int there = open_file(b("grows"), O_RDWR);
  constexpr int kRounds = 40;
  int missed = 0;
  for (off_t round = 1; round <= kRounds; ++round) {
    // Two processes, for the lock's sake; one after the other.
    ASSERT_EQ(in_child([&] {
                if (set_lock(there, F_SETLKW, F_WRLCK, kDataLock, 1) != 0) return 1;
                return ::pwrite(there, "12345678", 8, round * 8) == 8 ? 0 : 2;
              }),
              0);
    ASSERT_EQ(set_lock(here, F_SETLKW, F_WRLCK, kDataLock, 1), 0);
    char bytes[8];
    if (::pread(here, bytes, sizeof bytes, round * 8) != sizeof bytes) ++missed;
    ASSERT_EQ(set_lock(here, F_SETLK, F_UNLCK, kDataLock, 1), 0);
  }
  EXPECT_EQ(missed, 0) << "of " << kRounds;
  ASSERT_EQ(put(back("grows.done"), ""), 0);
  EXPECT_EQ(other.wait(), 0);
  ::close(here);
  ::close(there);
}

}  // namespace
}  // namespace holdfast::test
