// The kernel's list of mounts as we read it, and what the keeper is asked.

#include "deploy/csi/core/mount_table.h"

#include "deploy/csi/keeper/protocol.h"

#include <gtest/gtest.h>

namespace holdfast::csi {
namespace {

constexpr const char* kTable =
    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    "40 22 0:52 / /k/stage rw,relatime shared:2 - fuse.holdfast nas:/export/a\\040b rw,user_id=0\n"
    "41 22 0:52 / /k/pods/1/mount ro,relatime shared:2 - fuse.holdfast nas:/export/a\\040b rw\n"
    "42 22 0:52 / /k/pods/1/volume-subpaths/v/c/0 rw - fuse.holdfast nas:/export/a\\040b rw\n"
    "43 22 0:52 /sub /k/pods/2/sub rw - fuse.holdfast nas:/export/a\\040b rw\n"
    "44 22 0:53 / /k/other rw - fuse.holdfast nas:/x ro\n"
    "45 44 0:54 / /k/other rw - tmpfs tmpfs rw\n"
    "half a line\n";

TEST(MountTableTest, TheTopmostMountCounts) {
  const MountTable table(parse_mountinfo(kTable));
  const auto stage = table.at("/k/stage");
  ASSERT_TRUE(stage);
  EXPECT_EQ(stage->device, "0:52");
  EXPECT_EQ(stage->source, "nas:/export/a b");
  EXPECT_TRUE(stage->is_holdfast());
  EXPECT_FALSE(stage->read_only());
  EXPECT_FALSE(table.at("/k/other")->is_holdfast());
  EXPECT_FALSE(table.at("/k"));
}

TEST(MountTableTest, ReadOnlyIsOfTheMountPointOrOfTheFileSystem) {
  const MountTable table(parse_mountinfo(kTable));
  EXPECT_TRUE(table.at("/k/pods/1/mount")->read_only());
  EXPECT_FALSE(table.at("/k/pods/1/mount")->file_system_read_only());
}

TEST(MountTableTest, ElsewhereIsWhereOtherPodsSeeTheWholeVolume) {
  const MountTable table(parse_mountinfo(kTable));
  const auto stage = *table.at("/k/stage");
  EXPECT_EQ(table.elsewhere(stage, "/k/stage", "/k/new"),
            std::vector<std::string>{"/k/pods/1/mount"});
  EXPECT_TRUE(table.elsewhere(stage, "/k/stage", "/k/pods/1/mount").empty());
  EXPECT_TRUE(table.is_mounted_elsewhere(stage));
}

TEST(KeeperProtocolTest, RequestsBecomeCommandsOfHoldfast) {
  EXPECT_EQ(command_for(encode_request({"mount", "nas:/e", "/k/stage", "lockd=x"})),
            (std::vector<std::string>{"mount", "nas:/e", "/k/stage", "-o", "lockd=x"}));
  EXPECT_EQ(command_for(encode_request({"unmount", "/k/stage"})),
            (std::vector<std::string>{"unmount", "/k/stage"}));
}

TEST(KeeperProtocolTest, NothingElseIsRun) {
  for (const std::vector<std::string>& texts : {std::vector<std::string>{},
                                                {"torture", "/x"},
                                                {"mount", "nas:/e", "stage", ""},
                                                {"mount", "/etc", "/k/stage", ""},
                                                {"mount", "--help", "/k/stage", ""},
                                                {"unmount", "-l"},
                                                {"mount", "./x:/y", "/k/stage", ""},
                                                {"mount", "etc", "/k/stage", ""},
                                                {"unmount", "/a", "/b"}})
    EXPECT_FALSE(command_for(encode_request(texts)));
  EXPECT_FALSE(command_for("unmount"));
}

TEST(KeeperProtocolTest, AnswersComeBack) {
  const auto answer = parse_answer(encode_answer({32, "no\nserver\n"}));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->exit_code, 32);
  EXPECT_EQ(answer->said, "no\nserver\n");
  EXPECT_FALSE(parse_answer(""));
  EXPECT_FALSE(parse_answer("x\n"));
}

}  // namespace
}  // namespace holdfast::csi
