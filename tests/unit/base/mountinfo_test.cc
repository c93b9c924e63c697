#include "holdfast/base/mountinfo.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Mountinfo, FieldsOfALine) {
  const auto mounts = parse_mountinfo(
      "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
      "75 22 0:53 /sub /mnt/with\\040blank rw,nosuid shared:2 master:1 - fuse.holdfast "
      "nas:/export\\134x rw,user_id=0\n"
      "76 22 0:54 / /none rw - tmpfs  rw");
  ASSERT_EQ(mounts.size(), 3U);
  EXPECT_EQ(mounts[0].connection(), "");
  EXPECT_FALSE(mounts[0].is_holdfast());
  EXPECT_EQ(mounts[1].id, 75U);
  EXPECT_EQ(mounts[1].connection(), "53");
  EXPECT_EQ(mounts[1].root, "/sub");
  EXPECT_EQ(mounts[1].path, "/mnt/with blank");
  EXPECT_EQ(mounts[1].options, "rw,nosuid");
  EXPECT_TRUE(mounts[1].is_holdfast());
  EXPECT_EQ(mounts[1].source, "nas:/export\\x");
  EXPECT_EQ(mounts[1].super_options, "rw,user_id=0");
  EXPECT_EQ(mounts[2].source, "");
}

// Only blanks, tabs, line ends and backslashes are escaped.
TEST(Mountinfo, OtherWhiteSpaceIsPartOfAPath) {
  const auto mounts = parse_mountinfo("40 22 0:52 / /k/a\rb\vc rw - fuse.holdfast nas:/x\fy rw\n");
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].path, "/k/a\rb\vc");
  EXPECT_EQ(mounts[0].source, "nas:/x\fy");
}

TEST(Mountinfo, LinesThatAreNotUnderstoodAreLeftOut) {
  EXPECT_TRUE(parse_mountinfo("").empty());
  EXPECT_TRUE(parse_mountinfo("\n\nhalf a line\n22 1 8:1 / /\n22 1 8:1 / / rw - \n - \n").empty());
}

TEST(Mountinfo, OptionsAreWholeWords) {
  EXPECT_TRUE(has_mount_option("rw,user_id=0", "user_id=0"));
  EXPECT_FALSE(has_mount_option("rw,user_id=01", "user_id=0"));
  EXPECT_FALSE(has_mount_option("errors=ro", "ro"));
  EXPECT_FALSE(has_mount_option("", "ro"));
}

TEST(Mountinfo, ReadsOurOwn) {
  EXPECT_FALSE(read_mountinfo().empty());
  EXPECT_TRUE(read_mountinfo("/nowhere").empty());
}

}  // namespace
}  // namespace holdfast
