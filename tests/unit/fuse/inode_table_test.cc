#include "fs/core/inode_table.h"

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

struct Node {
  explicit Node(NodeId node_id) : node(node_id) {}
  NodeId node;
};

FileHandle handle(std::uint8_t byte) {
  FileHandle out;
  out.bytes.assign({byte, 1, 2});
  return out;
}
std::shared_ptr<Node> get(InodeTable<Node>& table, std::uint8_t byte) {
  return table.find_or_make(handle(byte), [](NodeId id) { return std::make_shared<Node>(id); });
}

TEST(InodeTable, TheFirstInodeIsTheRoot) {
  InodeTable<Node> table;
  EXPECT_EQ(get(table, 1)->node, kRootNode);
}

TEST(InodeTable, OneHandleIsOneInodeAsLongAsSomebodyHoldsIt) {
  InodeTable<Node> table;
  const auto first = get(table, 1);
  EXPECT_EQ(get(table, 1), first);
  EXPECT_NE(get(table, 2)->node, first->node);
}

TEST(InodeTable, ForgettingEveryLookupMakesTheNodeUnknownButKeepsWhatIsOpen) {
  InodeTable<Node> table;
  const auto open = get(table, 1);
  table.looked_up(open->node, open);
  table.looked_up(open->node, open);
  table.forget(open->node, 1);
  EXPECT_EQ(table.find(open->node), open);
  table.forget(open->node, 1);
  EXPECT_EQ(table.find(open->node), nullptr);
  EXPECT_EQ(get(table, 1), open) << "an open handle still names the same inode";
  table.check_invariants();
}

TEST(InodeTable, NodeIdsAreNeverReused) {
  InodeTable<Node> table;
  const NodeId before = get(table, 1)->node;
  EXPECT_NE(get(table, 1)->node, before) << "nobody held it, so it is a new life";
}

TEST(InodeTable, TooLargeAndUnknownForgetsAreHarmless) {
  InodeTable<Node> table;
  const auto inode = get(table, 1);
  table.looked_up(inode->node, inode);
  table.forget(inode->node, 99);
  table.forget(inode->node, 1);
  table.forget(NodeId{4711}, 1);
  EXPECT_EQ(table.lookups(inode->node), 0U);
}

TEST(InodeTable, DeadEntriesAreSweptAndLiveOnesStay) {
  InodeTable<Node> table;
  const auto kept = get(table, 0);
  for (int i = 0; i < 5000; ++i) {
    FileHandle passing;
    passing.bytes.assign({9, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)});
    (void)table.find_or_make(passing, [](NodeId id) { return std::make_shared<Node>(id); });
  }
  EXPECT_EQ(get(table, 0), kept);
  std::size_t alive = 0;
  table.for_each([&](const auto&) { ++alive; });
  EXPECT_EQ(alive, 1U);
}

}  // namespace
}  // namespace holdfast::fs
