#include "cli/mount/mountpoint.h"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

TEST(Mountpoint, MustBeAnExistingDirectory) {
  const auto missing = check_mountpoint("/nowhere/at/all");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().what, "the mount point /nowhere/at/all does not exist");
  EXPECT_EQ(missing.error().exit_code, kExitMount);

  const auto file = std::filesystem::temp_directory_path() / "holdfast-mountpoint-test-file";
  std::ofstream(file) << "x";
  const auto no_directory = check_mountpoint(file);
  ASSERT_FALSE(no_directory);
  EXPECT_NE(no_directory.error().what.find("is not a directory"), std::string::npos);
  std::filesystem::remove(file);
}

TEST(Mountpoint, MustNotBeMountedAlready) {
  const auto busy = check_mountpoint("/proc");
  ASSERT_FALSE(busy);
  EXPECT_NE(busy.error().what.find("/proc is busy"), std::string::npos) << busy.error().what;
}

TEST(Mountpoint, AbsolutePathNeedsNoFile) {
  EXPECT_EQ(absolute_path("/a/b/../c/"), "/a/c");
  EXPECT_EQ(absolute_path("/"), "/");
}

}  // namespace
}  // namespace holdfast::cli
