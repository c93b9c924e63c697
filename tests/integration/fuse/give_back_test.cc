// The kernel is asked for what it does not use of a mount: nothing else about the mount changes,
// and who may not ask lives with it.
#include "fs/fuse/give_back.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::test {
namespace {

/// `body` in another process, whose standard error output is `said`.
template <class Body>
int in_process(std::string& said, Body body) {
  ::testing::internal::CaptureStderr();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  said = ::testing::internal::GetCapturedStderr();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

unsigned minor_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return minor(status.st_dev);
}

std::string mount_line(const std::string& mountpoint) {
  std::ifstream all("/proc/self/mountinfo");
  for (std::string line; std::getline(all, line);)
    if (line.find(" " + mountpoint + " ") != std::string::npos) return line;
  return {};
}

std::size_t count(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
    ++found;
  return found;
}

TEST(GiveBack, WhoMayNotAskSaysSoOnce) {
  const unsigned proc = minor_of("/proc");
  std::string said;
  const int code = in_process(said, [&] {
    if (::setuid(65534) != 0 && ::geteuid() == 0) return 1;
    for (int i = 0; i < 3; ++i)
      fs::give_back("/proc", proc);
    return 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(count(said, "fuse.inodes_unbounded"), 1U) << said;
}

TEST(GiveBack, WhatIsNotTheMountIsLeftAlone) {
  std::string said;
  const int code = in_process(said, [&] {
    if (::setuid(65534) != 0 && ::geteuid() == 0) return 1;
    fs::give_back("/proc", minor_of("/proc") + 1);
    fs::give_back("/nowhere", 1);
    return 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(said, "") << "it would have been refused if it had been tried";
}

TEST(GiveBack, FlagsOfTheMountAndOfItsBindMountsStay) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: NOTHING WAS TESTED";
  std::string said;
  const int code = in_process(said, [&] {
    std::string place = "/tmp/holdfast-give-back-XXXXXX";
    if (::unshare(CLONE_NEWNS) != 0 || ::mkdtemp(place.data()) == nullptr) return 1;
    ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (::mount("t", place.c_str(), "tmpfs", MS_NOSUID, "size=1m") != 0) return 2;
    const std::string writable = place + "/rw", bound = place + "/bind", readonly = place + "/ro";
    for (const auto& one : {writable, bound, readonly})
      std::filesystem::create_directory(one);
    if (::mount("w", writable.c_str(), "tmpfs", MS_NODEV, "size=1m,mode=700") != 0) return 3;
    if (::mount(writable.c_str(), bound.c_str(), nullptr, MS_BIND, nullptr) != 0) return 4;
    const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOEXEC;
    if (::mount(nullptr, bound.c_str(), nullptr, flags, nullptr) != 0) return 5;
    if (::mount("r", readonly.c_str(), "tmpfs", MS_RDONLY, nullptr) != 0) return 6;
    int changed = 0;
    for (const auto& one : {writable, bound, readonly}) {
      const std::string before = mount_line(one);
      fs::give_back(one, minor_of(one));
      changed += before.empty() || mount_line(one) != before ? 1 : 0;
    }
    const bool kept_out = ::open((bound + "/f").c_str(), O_CREAT | O_WRONLY, 0600) < 0 &&
                          errno == EROFS &&
                          ::open((readonly + "/f").c_str(), O_CREAT | O_WRONLY, 0600) < 0;
    const bool let_in = ::open((writable + "/f").c_str(), O_CREAT | O_WRONLY, 0600) >= 0;
    ::umount2(place.c_str(), MNT_DETACH);
    ::rmdir(place.c_str());
    if (changed != 0) return 7;
    return kept_out && let_in ? 0 : 8;
  });
  EXPECT_EQ(code, 0) << said;
  EXPECT_EQ(said, "") << "it was not refused";
}

}  // namespace
}  // namespace holdfast::test
