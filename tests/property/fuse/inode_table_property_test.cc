// The table has exactly the inodes that somebody holds, whoever lets go last.
#include "fs/core/inode_table.h"

#include <array>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

constexpr std::uint8_t kFiles = 6;

struct Node : InodeNames, std::enable_shared_from_this<Node> {
  using InodeNames::InodeNames;
};

FileHandle handle(std::uint8_t file) {
  FileHandle out;
  out.bytes.push_back(file);
  return out;
}
FileKey key(std::uint8_t file) {
  return {file, handle(file).hash()};
}

class World {
 public:
  explicit World(unsigned seed) : random_(seed) {}

  void step() {
    const auto file = static_cast<std::uint8_t>(pick(kFiles));
    Model& model = files_[file];
    switch (pick(5)) {
      case 0: {  // LOOKUP
        const auto inode = get(file);
        table_.looked_up(inode->node, inode);
        ++model.lookups;
        break;
      }
      case 1:  // FORGET of some or all
        if (model.lookups == 0) break;
        forget(model, 1 + pick(model.lookups));
        break;
      case 2:  // OPEN
        model.opens.push_back(get(file));
        break;
      case 3:  // RELEASE
        if (!model.opens.empty()) model.opens.pop_back();
        break;
      case 4:
        table_.shrink();
        break;
      default:
        break;
    }
    if (model.lookups == 0 && model.opens.empty()) model.node.reset();
    check();
  }

 private:
  struct Model {
    std::size_t lookups = 0;
    std::vector<std::shared_ptr<Node>> opens;
    std::optional<NodeId> node;  // of this life
  };

  std::size_t pick(std::size_t count) { return random_() % count; }
  std::shared_ptr<Node> get(std::uint8_t file) {
    auto inode = table_.find_or_make(handle(file), [&](NodeId id) {
      EXPECT_TRUE(used_.insert(id.value).second) << "N1: a node id came again";
      return std::make_shared<Node>(id, handle(file), key(file));
    });
    Model& model = files_.at(file);
    if (!model.node) model.node = inode->node;
    EXPECT_EQ(model.node, inode->node) << "N2: a live file has a second inode";
    return inode;
  }
  void forget(Model& model, std::size_t count) {
    table_.forget(*model.node, count);
    model.lookups -= count;
  }
  void check() {
    table_.check_invariants();
    std::size_t known = 0;
    std::size_t alive = 0;
    for (std::uint8_t file = 0; file < kFiles; ++file) {
      const Model& model = files_.at(file);
      known += model.lookups > 0 ? 1 : 0;
      alive += model.node ? 1 : 0;
      EXPECT_EQ(table_.find(handle(file)) != nullptr, model.node.has_value());
      EXPECT_EQ(table_.find(handle(file)), table_.find(key(file)));
      if (model.node) {
        EXPECT_EQ(table_.find(*model.node) != nullptr, model.lookups > 0) << "N3";
        EXPECT_EQ(table_.lookups(*model.node), model.lookups);
      }
    }
    EXPECT_EQ(table_.size(), known);
    EXPECT_EQ(table_.alive(), alive);
  }

  std::mt19937 random_;
  InodeTable<Node> table_;
  std::array<Model, kFiles> files_;
  std::set<std::uint64_t> used_;
};

TEST(InodeTableProperty, KeepsN1N2N3AndNothingOfTheDead) {
  for (unsigned seed = 1; seed <= 100 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    for (int i = 0; i < 300 && !::testing::Test::HasFailure(); ++i)
      world.step();
  }
}

}  // namespace
}  // namespace holdfast::fs
