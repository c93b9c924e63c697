// A mount bounds what the kernel remembers of it, and nobody who uses a file notices.
#include "tests/integration/fuse/fixture.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace holdfast::test {
namespace {

constexpr std::size_t kInodesMax = 100;
constexpr int kDirectories = 10;
constexpr int kFilesInEach = 60;
constexpr int kOpen = 30;

std::string name(int directory, int file) {
  return "d" + std::to_string(directory) + "/f" + std::to_string(file);
}

/// Waits inside of a child until the parent is done.
class Signal {
 public:
  Signal() { EXPECT_EQ(::pipe(ends_.data()), 0); }
  ~Signal() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  void give() { EXPECT_EQ(::write(ends_[1], "x", 1), 1); }
  void wait() const {
    char byte = 0;
    (void)!::read(ends_[0], &byte, 1);
  }

 private:
  std::array<int, 2> ends_{};
};

class Inodes : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0)
      GTEST_SKIP() << "needs root and /dev/fuse: NOTHING WAS TESTED";
    ::setenv("HOLDFAST_TEST_INODES_MAX", std::to_string(kInodesMax).c_str(), 1);
    mounts_ = std::make_unique<Mounts>(2);
    ::unsetenv("HOLDFAST_TEST_INODES_MAX");
    ASSERT_TRUE(mounts_->ready()) << "the mounts did not come up";
    for (int d = 0; d < kDirectories; ++d) {
      std::filesystem::create_directory(mounts_->backing("d" + std::to_string(d)));
      for (int f = 0; f < kFilesInEach; ++f)
        std::ofstream(mounts_->backing(name(d, f))) << name(d, f);
    }
  }
  [[nodiscard]] std::string at(const std::string& file) const { return mounts_->at(0, file); }
  /// Inodes that the kernel remembers of the first mount.
  [[nodiscard]] std::size_t known() const {
    const std::string answer = mounts_->backing("inodes");
    std::filesystem::remove(answer);
    signal_process(mounts_->mount_process(0), SIGHUP);
    std::size_t count = 0;
    EXPECT_TRUE(eventually([&] { return static_cast<bool>(std::ifstream(answer) >> count); }));
    return count;
  }
  /// As /proc/self/mountinfo has the first mount.
  [[nodiscard]] std::string mount_line() const {
    std::ifstream all("/proc/self/mountinfo");
    for (std::string line; std::getline(all, line);) {
      if (line.find(" " + mounts_->at(0) + " ") != std::string::npos) return line;
    }
    return "none";
  }
  void walk() const {
    for (int d = 0; d < kDirectories; ++d) {
      for (int f = 0; f < kFilesInEach; ++f) {
        struct stat st {};
        ASSERT_EQ(::stat(at(name(d, f)).c_str(), &st), 0) << name(d, f);
      }
    }
  }
  /// Walks, and waits until the kernel has given back what it had to.
  void walk_and_settle(std::size_t used) const {
    walk();
    const std::size_t most = kInodesMax + kInodesMax / 4 + used;
    EXPECT_TRUE(eventually([&] { return known() <= most; }, std::chrono::seconds(60))) << most;
  }

  std::unique_ptr<Mounts> mounts_;
};

TEST_F(Inodes, AWalkLeavesNoMoreThanTheBound) {
  const std::string before = mount_line();
  walk_and_settle(0);
  EXPECT_EQ(get(at(name(3, 7))), name(3, 7));
  EXPECT_EQ(mount_line(), before) << "nothing else about the mount changes";
}

TEST_F(Inodes, OpenFilesKeepTheirDataAndLocks) {
  std::vector<int> files;
  for (int i = 0; i < kOpen; ++i) {
    files.push_back(open_file(at(name(i % kDirectories, i)), O_RDWR));
    ASSERT_GE(files.back(), 0);
    ASSERT_EQ(set_lock(files.back(), F_SETLK, F_WRLCK), 0);
    ASSERT_EQ(::pwrite(files.back(), "mine", 4, 0), 4);
  }
  walk_and_settle(kOpen + kDirectories);
  for (int i = 0; i < kOpen; ++i) {
    const std::string file = name(i % kDirectories, i);
    const int fd = files[static_cast<std::size_t>(i)];
    EXPECT_EQ(try_elsewhere(at(file)), EAGAIN) << "another process of the node";
    EXPECT_EQ(try_elsewhere(mounts_->at(1, file)), EAGAIN) << "another node";
    const std::string path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd));
    EXPECT_EQ(path, at(file)) << "it is where it was";
    std::string seen(4, '\0');
    EXPECT_EQ(::pread(fd, seen.data(), 4, 0), 4);
    EXPECT_EQ(seen, "mine");
    struct stat by_handle {
    }, by_name{};
    ASSERT_EQ(::fstat(fd, &by_handle), 0);
    ASSERT_EQ(::stat(at(file).c_str(), &by_name), 0);
    EXPECT_EQ(by_handle.st_ino, by_name.st_ino);
    ASSERT_EQ(set_lock(fd, F_SETLK, F_UNLCK), 0);
    EXPECT_EQ(try_elsewhere(mounts_->at(1, file)), 0);
    ::close(fd);
    EXPECT_EQ(get(mounts_->at(1, file)).substr(0, 4), "mine");
  }
}

TEST_F(Inodes, AWorkingDirectoryAndAMountPointStay) {
  Signal ready, go;
  Child user([&] {
    // A file mounted upon another, as in a container, and a shell that sits somewhere.
    if (::unshare(CLONE_NEWNS) != 0) return 1;
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    const std::string file = at(name(5, 5));
    if (::mount("/proc/self/status", file.c_str(), nullptr, MS_BIND, nullptr) != 0) return 2;
    if (::chdir(at("d7").c_str()) != 0) return 3;
    ready.give();
    go.wait();
    std::string here(4096, '\0');
    if (::getcwd(here.data(), here.size()) == nullptr) return 4;
    if (here.c_str() != at("d7")) return 5;
    if (get("f1") != name(7, 1)) return 6;
    return get(file).starts_with("Name:") ? 0 : 7;
  });
  ready.wait();
  walk_and_settle(kDirectories);
  go.give();
  EXPECT_EQ(user.wait(), 0);
}

}  // namespace
}  // namespace holdfast::test
