// Changes that are on their way to the storage when the mount loses what they rely on: their
// programs hear EIO, and nothing is sent again (docs/tokens.md, "Failure").

#include "tests/integration/fuse/fixture.h"

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
  constexpr int kDirectories = 9;
  for (int i = 0; i < kDirectories; ++i) {
    ASSERT_EQ(::mkdir(mounts_->at(0, std::to_string(i)).c_str(), 0755), 0);
    const int fd = open_file(at(i, "old"));
    ASSERT_TRUE(::write(fd, "old", 3) == 3 && ::fsync(fd) == 0 && ::close(fd) == 0);
    ASSERT_EQ(::mkdir(at(i, "dir").c_str(), 0755), 0);
  }
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
}

}  // namespace
}  // namespace holdfast::test
