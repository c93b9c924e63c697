// What programs expect of a filesystem, on two mounts of one directory.
#include "tests/integration/fuse/fixture.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <vector>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/xattr.h>

namespace holdfast::test {
namespace {

using Posix = TwoMounts;

struct stat status(const std::string& path) {
  struct stat out {};
  EXPECT_EQ(::lstat(path.c_str(), &out), 0) << path << ": " << std::strerror(errno);
  return out;
}
std::set<std::string> list(const std::string& path) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path))
    names.insert(entry.path().filename());
  return names;
}

TEST_F(Posix, WhatOneMountWritesTheOtherReads) {
  ASSERT_EQ(put(a("text"), "one"), 0);
  EXPECT_EQ(get(b("text")), "one");
  ASSERT_EQ(put(b("text"), "longer"), 0);
  EXPECT_EQ(get(a("text")), "longer");
  EXPECT_EQ(status(a("text")).st_ino, status(b("text")).st_ino);
}

TEST_F(Posix, AnAbsentNameIsNotRemembered) {
  EXPECT_NE(::access(b("late").c_str(), F_OK), 0);
  ASSERT_EQ(put(a("late"), ""), 0);
  EXPECT_EQ(::access(b("late").c_str(), F_OK), 0);
  ASSERT_EQ(::unlink(a("late").c_str()), 0);
  EXPECT_NE(::access(b("late").c_str(), F_OK), 0);
}

TEST_F(Posix, LargeFilesAndHoles) {
  const int fd = open_file(a("sparse"));
  std::vector<char> block(3 << 20);
  for (std::size_t i = 0; i < block.size(); ++i)
    block[i] = static_cast<char>(i * 7);
  const off_t far = 5LL << 30;
  ASSERT_EQ(::pwrite(fd, block.data(), block.size(), far), static_cast<ssize_t>(block.size()));
  ASSERT_EQ(::close(fd), 0);
  const auto seen = status(b("sparse"));
  EXPECT_EQ(seen.st_size, far + static_cast<off_t>(block.size()));
  EXPECT_LT(seen.st_blocks * 512, 64 << 20) << "a hole takes no space";
  const int other = open_file(b("sparse"), O_RDONLY);
  std::vector<char> read(block.size());
  ASSERT_EQ(::pread(other, read.data(), read.size(), far), static_cast<ssize_t>(read.size()));
  EXPECT_EQ(read, block);
  char zero = 1;
  ASSERT_EQ(::pread(other, &zero, 1, far / 2), 1);
  EXPECT_EQ(zero, 0);
  ::close(other);
  ::unlink(a("sparse").c_str());
}

TEST_F(Posix, TruncateByNameAndByDescriptor) {
  ASSERT_EQ(put(a("cut"), "0123456789"), 0);
  ASSERT_EQ(::truncate(b("cut").c_str(), 4), 0);
  EXPECT_EQ(get(a("cut")), "0123");
  const int fd = open_file(a("cut"));
  ASSERT_EQ(::fchmod(fd, 0444), 0);
  EXPECT_EQ(::ftruncate(fd, 2), 0) << "the open allowed it, not the mode now";
  ::close(fd);
  EXPECT_EQ(get(b("cut")), "01");
  const int again = ::open(b("cut").c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
  ASSERT_GE(again, 0);
  ::close(again);
  EXPECT_EQ(status(a("cut")).st_size, 0);
}

TEST_F(Posix, TimesToTheNanosecondNowAndOmit) {
  ASSERT_EQ(put(a("times"), "x"), 0);
  const timespec exact[2] = {{1000, 123456789}, {2000, 987654321}};
  ASSERT_EQ(::utimensat(AT_FDCWD, a("times").c_str(), exact, 0), 0);
  EXPECT_EQ(status(b("times")).st_atim.tv_nsec, 123456789);
  EXPECT_EQ(status(b("times")).st_mtim.tv_nsec, 987654321);
  const timespec half[2] = {{0, UTIME_OMIT}, {0, UTIME_NOW}};
  ASSERT_EQ(::utimensat(AT_FDCWD, a("times").c_str(), half, 0), 0);
  EXPECT_EQ(status(b("times")).st_atim.tv_sec, 1000);
  EXPECT_GT(status(b("times")).st_mtim.tv_sec, 1'000'000);
}

TEST_F(Posix, LinksSymlinksDirectories) {
  ASSERT_EQ(put(a("l1"), "x"), 0);
  ASSERT_EQ(::link(a("l1").c_str(), a("l2").c_str()), 0);
  EXPECT_EQ(status(b("l1")).st_nlink, 2U);
  EXPECT_NE(::link(a("l1").c_str(), a("l2").c_str()), 0);
  EXPECT_EQ(errno, EEXIST);
  ASSERT_EQ(::symlink("l1", a("sym").c_str()), 0);
  EXPECT_EQ(std::filesystem::read_symlink(b("sym")), "l1");
  ASSERT_EQ(::mkdir(a("dir").c_str(), 0751), 0);
  EXPECT_EQ(status(b("dir")).st_mode & 07777U, 0751U);
  ASSERT_EQ(::rename(b("l2").c_str(), b("dir/l3").c_str()), 0);
  EXPECT_EQ(get(a("dir/l3")), "x");
  EXPECT_NE(::rmdir(a("dir").c_str()), 0);
  EXPECT_EQ(errno, ENOTEMPTY);
  ASSERT_EQ(::unlink(a("dir/l3").c_str()), 0);
  EXPECT_EQ(::rmdir(b("dir").c_str()), 0);
}

// Made under the token of one directory, found in another.
TEST_F(Posix, AFileThatWasMovedIsTheSameOneForBothMounts) {
  ASSERT_EQ(::mkdir(a("here").c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(a("there").c_str(), 0755), 0);
  for (int round = 0; round < 20; ++round) {
    const std::string name = "moved" + std::to_string(round);
    EXPECT_NE(::access(b("there/" + name).c_str(), F_OK), 0);
    ASSERT_EQ(put(a("here/" + name), "first"), 0);
    ASSERT_EQ(::rename(a("here/" + name).c_str(), a("there/" + name).c_str()), 0);
    ASSERT_EQ(::link(a("there/" + name).c_str(), a("here/linked" + name).c_str()), 0);
    EXPECT_EQ(get(a("there/" + name)), "first");
    EXPECT_EQ(get(b("there/" + name)), "first");
    ASSERT_EQ(put(b("there/" + name), "second, longer"), 0);
    EXPECT_EQ(status(a("there/" + name)).st_size, 14);
    EXPECT_EQ(get(a("here/linked" + name)), "second, longer");
  }
}

TEST_F(Posix, FifosAndSocketsStandBesideData) {
  ASSERT_EQ(::mkfifo(a("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(S_ISFIFO(status(b("fifo")).st_mode));
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, a("sock").c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(server, 1), 0);
  EXPECT_TRUE(S_ISSOCK(status(b("sock")).st_mode));
  const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(client);
  ::close(server);
  ::unlink(a("sock").c_str());
  ::unlink(a("fifo").c_str());
}

TEST_F(Posix, WhatIsNotSupportedSaysSoCleanly) {
  const int fd = open_file(a("plain"));
  EXPECT_NE(::fsetxattr(fd, "user.x", "1", 1, 0), 0);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_NE(::fallocate(fd, 0, 0, 4096), 0);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_EQ(::posix_fallocate(fd, 0, 4096), 0) << "the C library writes instead";
  EXPECT_NE(::renameat2(AT_FDCWD, a("plain").c_str(), AT_FDCWD, a("other").c_str(), 1), 0);
  EXPECT_EQ(errno, EINVAL);
  EXPECT_EQ(status(a("plain")).st_size, 4096);
  ::close(fd);
  struct statvfs values {};
  ASSERT_EQ(::statvfs(a("").c_str(), &values), 0);
  EXPECT_GT(values.f_blocks, 0U);
  EXPECT_EQ(values.f_namemax, 255U);
}

TEST_F(Posix, DirectAndMappedAccessSeeTheSameBytes) {
  const int fd = open_file(a("direct"), O_RDWR | O_CREAT | O_DIRECT);
  ASSERT_GE(fd, 0);
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  std::memset(page, 'd', 4096);
  ASSERT_EQ(::write(fd, page, 4096), 4096);
  ::munmap(page, 4096);
  ::close(fd);
  const int plain = open_file(b("direct"));
  auto* mapped =
      static_cast<char*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 0));
  ASSERT_NE(mapped, MAP_FAILED);
  EXPECT_EQ(mapped[100], 'd');
  mapped[100] = 'm';
  ASSERT_EQ(::msync(mapped, 4096, MS_SYNC), 0);
  ::munmap(mapped, 4096);
  ::close(plain);
  EXPECT_EQ(get(a("direct"))[100], 'm');
}

TEST_F(Posix, AnUnlinkedOpenFileLivesOnUnseenUntilItsLastClose) {
  ASSERT_EQ(::mkdir(a("tmpdir").c_str(), 0755), 0);
  const int fd = open_file(a("tmpdir/gone"));
  ASSERT_EQ(::write(fd, "kept", 4), 4);
  ASSERT_EQ(::unlink(a("tmpdir/gone").c_str()), 0);
  struct stat st {};
  ASSERT_EQ(::fstat(fd, &st), 0);
  EXPECT_EQ(st.st_nlink, 0U);
  EXPECT_TRUE(list(a("tmpdir")).empty());
  EXPECT_TRUE(list(b("tmpdir")).empty());
  EXPECT_NE(::access(a("tmpdir/gone").c_str(), F_OK), 0);
  ASSERT_EQ(::pwrite(fd, "KEPT", 4, 0), 4);
  ASSERT_EQ(::fsync(fd), 0);
  char text[5] = {};
  ASSERT_EQ(::pread(fd, text, 4, 0), 4);
  EXPECT_STREQ(text, "KEPT");
  const auto hidden = list(back("tmpdir"));
  ASSERT_EQ(hidden.size(), 1U);
  const std::string name = *hidden.begin();
  EXPECT_NE(::access(b("tmpdir/" + name).c_str(), F_OK), 0) << "not even by its hidden name";
  ::close(fd);
  EXPECT_TRUE(eventually([] { return list(back("tmpdir")).empty(); }));
  EXPECT_EQ(::rmdir(a("tmpdir").c_str()), 0);
}

TEST_F(Posix, AReplacedOpenFileKeepsItsContent) {
  ASSERT_EQ(put(a("old"), "old"), 0);
  const int fd = open_file(a("old"), O_RDONLY);
  ASSERT_EQ(put(a("new"), "new"), 0);
  ASSERT_EQ(::rename(a("new").c_str(), a("old").c_str()), 0);
  EXPECT_EQ(get(b("old")), "new");
  char text[4] = {};
  ASSERT_EQ(::pread(fd, text, 3, 0), 3);
  EXPECT_STREQ(text, "old");
  ::close(fd);
  const auto hidden = [] {
    const auto names = list(back(""));
    return std::any_of(names.begin(), names.end(),
                       [](const auto& name) { return name.starts_with(".holdfast-silly"); });
  };
  EXPECT_TRUE(eventually([&] { return !hidden(); }));
  ASSERT_EQ(put(a("x1"), "1"), 0);
  ASSERT_EQ(::link(a("x1").c_str(), a("x2").c_str()), 0);
  const int linked = open_file(a("x1"), O_RDONLY);
  EXPECT_EQ(::rename(a("x1").c_str(), a("x2").c_str()), 0) << "two names of one file: nothing";
  EXPECT_EQ(get(b("x1")), "1");
  ::close(linked);
}

TEST_F(Posix, ExclusiveCreationHasOneWinnerOverBothMounts) {
  for (int round = 0; round < 25; ++round) {
    const std::string name = "excl" + std::to_string(round);
    std::vector<Child> racers;
    for (int i = 0; i < 4; ++i) {
      racers.emplace_back([&, i] {
        const int fd = open_file(i % 2 == 0 ? a(name) : b(name), O_WRONLY | O_CREAT | O_EXCL);
        return fd >= 0 ? 0 : errno;
      });
    }
    int winners = 0;
    for (auto& racer : racers) {
      const int result = racer.wait();
      winners += result == 0 ? 1 : 0;
      EXPECT_TRUE(result == 0 || result == EEXIST) << std::strerror(result);
    }
    EXPECT_EQ(winners, 1);
  }
}

TEST_F(Posix, AppendsFromBothMountsNeverOverwriteEachOther) {
  constexpr int kLines = 150;
  ASSERT_EQ(put(a("log"), ""), 0);
  std::vector<Child> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&, i] {
      const int fd = open_file(i % 2 == 0 ? a("log") : b("log"), O_WRONLY | O_APPEND);
      for (int n = 0; n < kLines; ++n) {
        char line[32];
        std::snprintf(line, sizeof line, "writer %d line %06d\n", i, n);
        if (::write(fd, line, 21) != 21) return 1;
      }
      return 0;
    });
  }
  for (auto& writer : writers)
    EXPECT_EQ(writer.wait(), 0);
  for (const auto& path : {a("log"), b("log"), back("log")}) {
    const std::string all = get(path);
    EXPECT_EQ(all.size(), 4U * kLines * 21U) << path;
    std::set<std::string> lines;
    for (std::size_t at = 0; at + 21 <= all.size(); at += 21)
      lines.insert(all.substr(at, 21));
    EXPECT_EQ(lines.size(), 4U * kLines) << path;
  }
}

TEST_F(Posix, LongListingsAreCompleteAndPlainCallersStayWithinTheirRights) {
  ASSERT_EQ(::mkdir(a("many").c_str(), 0755), 0);
  for (int i = 0; i < 700; ++i)
    ASSERT_EQ(put(a("many/file-with-a-longer-name-" + std::to_string(i)), ""), 0);
  EXPECT_EQ(list(b("many")).size(), 700U);
  std::filesystem::remove_all(b("many"));
  EXPECT_NE(::access(a("many").c_str(), F_OK), 0);

  ASSERT_EQ(put(a("secret"), "s"), 0);
  ASSERT_EQ(::chmod(a("secret").c_str(), 0600), 0);
  EXPECT_EQ(in_child([&] {
              if (::setgid(1000) != 0 || ::setuid(1000) != 0) return 1;
              const int fd = ::open(b("secret").c_str(), O_RDONLY | O_CLOEXEC);
              return fd < 0 && errno == EACCES ? 0 : 2;
            }),
            0);
  ASSERT_EQ(::mkdir(a("open").c_str(), 0777), 0);
  ASSERT_EQ(::chmod(a("open").c_str(), 0777), 0);
  EXPECT_EQ(in_child([&] {
              if (::setgid(1000) != 0 || ::setuid(1000) != 0) return 1;
              return put(a("open/mine"), "m") == 0 ? 0 : 2;
            }),
            0);
  EXPECT_EQ(status(b("open/mine")).st_uid, 1000U);
}

}  // namespace
}  // namespace holdfast::test
