// Changes that are on their way to the storage when the mount loses what they rely on: their
// programs hear EIO, and nothing is sent again (docs/tokens.md, "Failure").

#include "tests/integration/fuse/fixture.h"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sys/stat.h>

namespace holdfast::test {
namespace {

class LostChanges : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0)
      GTEST_SKIP() << "needs root and /dev/fuse: NOTHING WAS TESTED";
    ::setenv("HOLDFAST_TEST_HELD_CHANGES", "1", 1);
    mounts_ = std::make_unique<Mounts>(1);
    ::unsetenv("HOLDFAST_TEST_HELD_CHANGES");
    ASSERT_TRUE(mounts_->ready()) << "the mounts did not come up";
  }
  /// On the mount: its own directory for each, as the kernel changes one directory at a time.
  [[nodiscard]] std::string at(int directory, const std::string& name) const {
    return mounts_->at(0, std::to_string(directory) + "/" + name);
  }
  [[nodiscard]] bool there(int directory, const std::string& name) const {
    const std::string path = mounts_->backing(std::to_string(directory) + "/" + name);
    return ::access(path.c_str(), F_OK) == 0;
  }
  [[nodiscard]] int held() const {
    int count = 0;
    std::ifstream(mounts_->backing("held")) >> count;
    return count;
  }

  std::unique_ptr<Mounts> mounts_;
};

/// While it lives the storage answers no change.
class Hold {
 public:
  explicit Hold(std::string sign) : sign_(std::move(sign)) { std::ofstream(sign_) << "yes"; }
  ~Hold() { ::unlink(sign_.c_str()); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  std::string sign_;
};

TEST_F(LostChanges, EndWithEioAndAreNotSentAgain) {
  constexpr int kDirectories = 12;
  for (int i = 0; i < kDirectories; ++i) {
    ASSERT_EQ(::mkdir(mounts_->at(0, std::to_string(i)).c_str(), 0755), 0);
    const int fd = open_file(at(i, "old"));
    ASSERT_TRUE(::write(fd, "old", 3) == 3 && ::fsync(fd) == 0 && ::close(fd) == 0);
    ASSERT_EQ(::mkdir(at(i, "dir").c_str(), 0755), 0);
  }
  // What is written under an exclusive lock is promised when that goes.
  const auto write_locked = [&](int directory, short then) -> long {
    const int fd = open_file(at(directory, "old"), O_RDWR);
    if (const int error = set_lock(fd, F_SETLK, F_WRLCK); error != 0) return errno = error, -1;
    if (::write(fd, "new", 3) != 3) return -1;
    const int error = set_lock(fd, F_SETLK, then);
    return error == 0 ? 0 : (errno = error, -1);
  };
  const std::vector<std::function<long()>> changes{
      [&] { return ::rename(at(0, "old").c_str(), at(0, "new").c_str()); },
      [&] { return ::unlink(at(1, "old").c_str()); },
      [&] { return open_file(at(2, "new"), O_RDWR | O_CREAT | O_EXCL); },
      [&] { return ::mkdir(at(3, "new").c_str(), 0755); },
      [&] { return ::rmdir(at(4, "dir").c_str()); },
      [&] { return ::link(at(5, "old").c_str(), at(5, "new").c_str()); },
      [&] { return ::symlink("old", at(6, "new").c_str()); },
      [&] { return ::chmod(at(7, "old").c_str(), 0600); },
      [&]() -> long {  // through, or behind
        const int fd = open_file(at(8, "old"), O_RDWR);
        return ::write(fd, "new", 3) == 3 ? ::fsync(fd) : -1;
      },
      [&]() -> long {
        const int fd = open_file(at(9, "old"), O_RDWR | O_APPEND);
        return ::write(fd, "new", 3) == 3 ? ::fsync(fd) : -1;
      },
      [&] { return write_locked(10, F_UNLCK); },
      [&] { return write_locked(11, F_RDLCK); },
  };
  std::vector<Child> programs;
  {
    const Hold hold(mounts_->backing("hold"));  // gone before programs are waited for
    for (const auto& change : changes)
      programs.emplace_back([&] { return change() < 0 ? errno : 0; });
    ASSERT_TRUE(eventually([&] { return held() == kDirectories; })) << held();
    ASSERT_TRUE(mounts_->replace_lockd());  // every session is lost
    for (std::size_t i = 0; i < programs.size(); ++i) {
      ASSERT_TRUE(programs[i].ends_within(std::chrono::seconds(20))) << "change " << i << " waits";
      EXPECT_EQ(programs[i].wait(), EIO) << "change " << i;
    }
  }
  EXPECT_EQ(put(at(0, "next"), "works"), 0);
  for (int i = 0; i < kDirectories; ++i) {
    EXPECT_TRUE(there(i, "old") && there(i, "dir")) << i;
    EXPECT_FALSE(there(i, "new")) << i;
  }
  struct stat status {};
  ASSERT_EQ(::stat(mounts_->backing("7/old").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0644U);
  EXPECT_EQ(get(mounts_->backing("8/old")), "old");
  EXPECT_EQ(get(mounts_->backing("10/old")), "old");
  EXPECT_EQ(get(mounts_->backing("11/old")), "old");
  const int log = open_file(at(9, "old"), O_RDWR | O_APPEND);
  EXPECT_EQ(::write(log, ".", 1), 1) << "nobody is in the way";
  EXPECT_EQ(::close(log), 0);
  EXPECT_EQ(get(mounts_->backing("9/old")), "old.");
}

// The program has lost nothing: it wrote, made that stable, and asks for more while its mount is
// away and another node takes the file.
TEST(ChangesThatWait, AreCarriedOutUnderTheNextToken) {
  if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0)
    GTEST_SKIP() << "needs root and /dev/fuse: NOTHING WAS TESTED";
  const char* const asked_for = std::getenv("HOLDFAST_TEST_CACHE");
  const std::string cache = asked_for == nullptr ? "" : asked_for;
  ::setenv("HOLDFAST_TEST_CACHE", "tokens", 1);  // else nothing is taken
  Mounts mounts(2);
  ::setenv("HOLDFAST_TEST_CACHE", cache.c_str(), 1);
  ASSERT_TRUE(mounts.ready()) << "the mounts did not come up";
  int go[2]{};
  ASSERT_EQ(::pipe2(go, O_CLOEXEC), 0);
  // Begun while nothing is open: its end would close that too, and wait for the frozen mount.
  Child elsewhere([&] {
    char byte = 0;
    (void)!::read(go[0], &byte, 1);
    for (const char* name : {"file", "log"}) {
      const int other = open_file(mounts.at(1, name), O_RDWR | O_APPEND);
      if (::write(other, "two ", 4) != 4 || ::fsync(other) != 0 || ::close(other) != 0)
        return errno;
    }
    return 0;
  });
  const int fd = open_file(mounts.at(0, "file"));
  const int log = open_file(mounts.at(0, "log"), O_RDWR | O_CREAT | O_APPEND);
  for (const int one : {fd, log})
    ASSERT_TRUE(::write(one, "one ", 4) == 4 && ::fsync(one) == 0);
  ::kill(mounts.mount_process(0), SIGSTOP);
  (void)!::write(go[1], "x", 1);
  EXPECT_EQ(elsewhere.wait(), 0);
  ::kill(mounts.lockd(), SIGSTOP);  // or the mount could hear of its loss before it is asked
  std::vector<Child> writers;
  writers.emplace_back([&] { return ::pwrite(fd, "six ", 4, 8) == 4 ? 0 : errno; });
  writers.emplace_back([&] { return ::write(log, "six ", 4) == 4 ? 0 : errno; });
  ::kill(mounts.mount_process(0), SIGCONT);
  for (Child& writer : writers)
    EXPECT_FALSE(writer.ends_within(std::chrono::milliseconds(300)));
  ::kill(mounts.lockd(), SIGCONT);
  for (Child& writer : writers)
    EXPECT_EQ(writer.wait(), 0);
  EXPECT_EQ(::fsync(fd), 0);
  EXPECT_EQ(::fsync(log), 0);
  EXPECT_EQ(get(mounts.backing("file")), "one two six ");
  EXPECT_EQ(get(mounts.backing("log")), "one two six ");
  for (const int one : {fd, log, go[0], go[1]})
    ::close(one);
}

}  // namespace
}  // namespace holdfast::test
