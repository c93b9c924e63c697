// A server that lists a directory round and round: whoever lists it is told, and does not wait for
// an end that does not come.

#include "tests/integration/fuse/fixture.h"

#include <cstdlib>
#include <set>
#include <string>

#include <dirent.h>
#include <sys/stat.h>

namespace holdfast::test {
namespace {

class ListingLoops : public TwoMounts {
 protected:
  static void SetUpTestSuite() {
    ::setenv("HOLDFAST_TEST_LOOPING_LISTINGS", "1", 1);
    TwoMounts::SetUpTestSuite();
    ::unsetenv("HOLDFAST_TEST_LOOPING_LISTINGS");
  }

  static void make_directory(const std::string& name, int files) {
    ASSERT_EQ(::mkdir(back(name).c_str(), 0755), 0);
    for (int i = 0; i < files; ++i)
      ASSERT_EQ(put(back(name + "/" + std::to_string(i)), ""), 0);
    ASSERT_EQ(put(back(name + "/loops"), ""), 0);
  }
};

constexpr std::size_t kDots = 2;

struct Listed {
  int error = 0;
  std::size_t entries = 0;
  std::set<std::string> names;
};

Listed list(DIR* directory, std::size_t most) {
  Listed out;
  while (out.entries < most) {
    errno = 0;
    const dirent* const entry = ::readdir(directory);
    out.error = errno;
    if (entry == nullptr) break;
    ++out.entries;
    out.names.insert(entry->d_name);
  }
  return out;
}

Listed list(const std::string& path, std::size_t most) {
  DIR* const directory = ::opendir(path.c_str());
  if (directory == nullptr) return {.error = errno, .entries = 0, .names = {}};
  Listed out = list(directory, most);
  ::closedir(directory);
  return out;
}

TEST_F(ListingLoops, EndWithAnError) {
  for (const int files : {0, 3, 3'000}) {  // the last is more than a page
    const std::string name = "round-" + std::to_string(files);
    make_directory(name, files);
    const std::size_t there = static_cast<std::size_t>(files) + 1 + kDots;
    const Listed listed = list(a(name), 20 * there);
    EXPECT_EQ(listed.error, ELOOP) << files << " files";
    EXPECT_LT(listed.entries, 20 * there) << files << " files";
    EXPECT_EQ(get(a(name + "/loops")), "") << "the files themselves are there";
  }
}

TEST_F(ListingLoops, AreOverWhenTheServerMendsItself) {
  make_directory("mended", 3);
  DIR* const directory = ::opendir(a("mended").c_str());
  ASSERT_NE(directory, nullptr);
  EXPECT_EQ(list(directory, 1'000).error, ELOOP);
  EXPECT_EQ(list(directory, 1'000).error, ELOOP) << "who reads on is told again";
  EXPECT_EQ(::unlink(back("mended/loops").c_str()), 0);
  ::rewinddir(directory);
  const Listed listed = list(directory, 1'000);
  EXPECT_EQ(listed.error, 0);
  EXPECT_EQ(listed.names.size(), 3 + kDots);
  EXPECT_EQ(listed.entries, 3 + kDots);
  ::closedir(directory);
}

// Whoever begins anew sees the same places again, and that is no loop.
TEST_F(ListingLoops, AreNotSeenWhereAProgramReadsTwice) {
  ASSERT_EQ(::mkdir(back("twice").c_str(), 0755), 0);
  for (const char* name : {"1", "2", "3"})
    ASSERT_EQ(put(back(std::string("twice/") + name), ""), 0);
  DIR* const directory = ::opendir(a("twice").c_str());
  ASSERT_NE(directory, nullptr);
  for (int i = 0; i < 20; ++i) {
    const Listed listed = list(directory, 1'000);
    EXPECT_EQ(listed.error, 0);
    EXPECT_EQ(listed.entries, 3 + kDots);
    ::rewinddir(directory);
  }
  for (int i = 0; i < 20; ++i) {
    ASSERT_NE(::readdir(directory), nullptr);
    const auto here = ::telldir(directory);
    ASSERT_NE(::readdir(directory), nullptr);
    ::seekdir(directory, here);
    EXPECT_EQ(list(directory, 1'000).entries, 2 + kDots);
    ::rewinddir(directory);
  }
  ::closedir(directory);
}

}  // namespace
}  // namespace holdfast::test
