#include "fs/core/inode_table.h"

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

struct Node : InodeNames, std::enable_shared_from_this<Node> {
  using InodeNames::InodeNames;
};

FileHandle handle(std::uint8_t byte) {
  FileHandle out;
  out.bytes.assign({byte, 1, 2});
  return out;
}
FileKey key(std::uint8_t byte) {
  return {byte, handle(byte).hash()};
}
std::shared_ptr<Node> get(InodeTable<Node>& table, std::uint8_t byte) {
  return table.find_or_make(handle(byte), [byte](NodeId id) {
    return std::make_shared<Node>(id, handle(byte), key(byte));
  });
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

TEST(InodeTable, OfTheDeadNothingIsKept) {
  InodeTable<Node> table;
  const auto open = get(table, 0);
  for (std::uint8_t i = 1; i < 100; ++i) {
    const auto inode = get(table, i);
    table.looked_up(inode->node, inode);
  }
  const auto closed_later = get(table, 99);
  EXPECT_EQ(table.alive(), 100U);
  for (std::uint64_t node = 1; node <= 100; ++node)
    table.forget(NodeId{node}, 1);
  EXPECT_EQ(table.size(), 0U);
  EXPECT_EQ(table.alive(), 2U) << "what is open";
  EXPECT_EQ(get(table, 0), open);
  EXPECT_EQ(table.find(key(50)), nullptr);
}

TEST(InodeTable, AFileIsFoundByItsKey) {
  InodeTable<Node> table;
  auto inode = get(table, 1);
  EXPECT_EQ(table.find(key(1)), inode);
  EXPECT_EQ(table.find(key(2)), nullptr);
  inode.reset();
  EXPECT_EQ(table.find(key(1)), nullptr);
}

TEST(InodeTable, AVirtualFileIsFoundByItsNodeOnly) {
  InodeTable<Node> table;
  const auto inode = table.make_virtual([](NodeId id) {
    return std::make_shared<Node>(id, FileHandle{}, FileKey{7, 8});
  });
  table.looked_up(inode->node, inode);
  EXPECT_EQ(table.find(inode->node), inode);
  EXPECT_EQ(table.find(FileHandle{}), nullptr);
  EXPECT_EQ(table.find(FileKey{7, 8}), nullptr);
}

}  // namespace
}  // namespace holdfast::fs
