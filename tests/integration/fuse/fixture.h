#pragma once
/// Two mounts of one directory, shared by the tests of a file (each uses names of its own).

#include "tests/support/fuse/mounts.h"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

namespace holdfast::test {

class TwoMounts : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { set_up(Mounts::kLease); }
  static void set_up(std::chrono::seconds lease) {
    if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0) return;
    mounts_ = std::make_unique<Mounts>(2, lease);
  }
  static void TearDownTestSuite() { mounts_.reset(); }
  void SetUp() override {
    if (!mounts_) GTEST_SKIP() << "needs root and /dev/fuse: NOTHING WAS TESTED";
    ASSERT_TRUE(mounts_->ready()) << "the mounts did not come up";
  }
  static std::string a(const std::string& name) { return mounts_->at(0, name); }
  static std::string b(const std::string& name) { return mounts_->at(1, name); }
  static std::string back(const std::string& name) { return mounts_->backing(name); }

  inline static std::unique_ptr<Mounts> mounts_;
};

inline int open_file(const std::string& path, int flags = O_RDWR | O_CREAT) {
  return ::open(path.c_str(), flags | O_CLOEXEC, 0644);
}
inline int put(const std::string& path, const std::string& text) {
  const int fd = open_file(path, O_RDWR | O_CREAT | O_TRUNC);
  if (fd < 0) return -1;
  const auto written = ::write(fd, text.data(), text.size());
  return ::close(fd) == 0 && written == static_cast<ssize_t>(text.size()) ? 0 : -1;
}
inline std::string get(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "<" + std::string(std::strerror(errno)) + ">";
  std::string text(1 << 16, '\0');
  const auto got = ::read(fd, text.data(), text.size());
  ::close(fd);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}
/// fcntl on [start, start + length); 0 or the errno.
inline int set_lock(int fd, int command, short type, off_t start = 0, off_t length = 0) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return ::fcntl(fd, command, &lock) == 0 ? 0 : errno;
}
/// The errno of a lock attempt by another process through `path`.
inline int try_elsewhere(const std::string& path, short type = F_WRLCK, off_t start = 0,
                         off_t length = 0) {
  return in_child([&] { return set_lock(open_file(path), F_SETLK, type, start, length); });
}

}  // namespace holdfast::test
