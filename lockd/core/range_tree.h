#pragma once
/// The held ranges of one space, by start: an interval tree (reach.h) in the shape of a B+ tree.
///
/// Its nodes are blocks of up to kBlock entries, and each entry carries what a search asks about
/// what is below it. So a search among 100,000 ranges meets five blocks one after the other, where
/// a binary tree meets some twenty nodes, most of them not in the cache; and a search reads the
/// ranges themselves only where it hits. The tree owns its blocks, not the ranges.
///
/// Ranges of equal start are ordered by their holdings' `seq`. A block that has become small is
/// merged with a neighbour if both fit into three quarters of one, so the depth is O(log n), but
/// lock and unlock at the boundary do not split and merge in turns.

#include "lockd/core/reach.h"

#include <cstddef>
#include <cstdint>

namespace holdfast::lockd {

struct HeldRange;
struct Holding;

class RangeTree {
 public:
  RangeTree() = default;
  RangeTree(const RangeTree&) = delete;
  RangeTree& operator=(const RangeTree&) = delete;
  /// Empty by then: blocks go with the ranges in them.
  ~RangeTree() = default;

  void insert(HeldRange& held);
  /// `held` is in the tree and has not changed since.
  void erase(HeldRange& held);
  /// `held` has the start and the holding that it had when it was inserted, but another end.
  void refresh(HeldRange& held);

  /// The first range in order that overlaps `range`, conflicts with `mode` and is not `self`'s.
  [[nodiscard]] HeldRange* conflict(const ByteRange& range, LockMode mode,
                                    const Holding* self) const;
  /// Visits all such ranges in order, while `visit` returns true. O(hits * log n).
  template <class Visitor>
  void each_conflict(const ByteRange& range, LockMode mode, const Holding* self,
                     Visitor& visit) const {
    if (root_ != nullptr) each_conflict(*root_, height_, {range, mode, self}, visit);
  }
  /// Visits every range in order. Neither visitor may change the tree.
  template <class Visitor>
  void for_each(Visitor visit) const {
    if (root_ != nullptr) for_each(*root_, height_, visit);
  }
  /// Asserts order, fill and summaries. O(n), for tests.
  void check_invariants() const;

 private:
  static constexpr std::uint32_t kBlock = 16;
  static constexpr std::uint32_t kMerge = kBlock * 3 / 4;

  /// An entry of a leaf: a range, and a copy of what a search asks about it.
  struct Slot {
    std::uint64_t start : 63;
    std::uint64_t exclusive : 1;
    std::uint64_t end;
    const Holding* holding;
    HeldRange* held;

    explicit Slot(HeldRange& range);
    [[nodiscard]] LockMode mode() const {
      return exclusive != 0 ? LockMode::kExclusive : LockMode::kShared;
    }
    [[nodiscard]] std::uint64_t seq() const;
  };
  struct Node {
    std::uint32_t count;
    std::uint32_t capacity;  ///< less than kBlock only for the root
  };
  /// An entry of an inner block.
  struct Branch {
    /// With `seq`: not after the first range below, and after all in the blocks before.
    std::uint64_t start;
    Reaches reaches;
    Node* below;
    std::uint64_t seq;
  };
  template <class Entry>
  struct Block : Node {
    // The entries follow the head in memory: a file with one lock needs no room for sixteen.
    [[nodiscard]] Entry* begin() { return reinterpret_cast<Entry*>(this + 1); }
    [[nodiscard]] Entry* end() { return begin() + count; }
    [[nodiscard]] const Entry* begin() const { return reinterpret_cast<const Entry*>(this + 1); }
    [[nodiscard]] const Entry* end() const { return begin() + count; }
  };
  using Leaf = Block<Slot>;
  using Inner = Block<Branch>;

  struct Search {
    ByteRange range;
    LockMode mode;
    const Holding* self;

    /// Entries are in order, so nothing after this one hits either.
    template <class Entry>
    [[nodiscard]] bool past(const Entry& entry) const {
      return entry.start >= range.end();
    }
    [[nodiscard]] bool hits(const Slot& slot) const {
      return slot.end > range.start() && modes_conflict(slot.mode(), mode) && slot.holding != self;
    }
    [[nodiscard]] bool may_hit(const Branch& branch) const {
      return branch.reaches.conflicting(mode, self) > range.start();
    }
  };

  static Leaf& leaf(Node& node) { return static_cast<Leaf&>(node); }
  static const Leaf& leaf(const Node& node) { return static_cast<const Leaf&>(node); }
  static Inner& inner(Node& node) { return static_cast<Inner&>(node); }
  static const Inner& inner(const Node& node) { return static_cast<const Inner&>(node); }

  template <class Entry>
  static Block<Entry>* make_block(std::uint32_t capacity);
  static void free_block(Node* node);
  template <class Entry>
  static Node* put(Node*& node, std::ptrdiff_t place, const Entry& entry);
  template <class Entry>
  static void take(Block<Entry>& block, Entry* place);
  template <class Entry>
  static bool merge(Node& node, Node& next);

  static bool less(const Slot& slot, std::uint64_t start, std::uint64_t seq);
  static bool less(const Slot& a, const Slot& b);
  static Slot* place_of(Leaf& block, const Slot& slot);
  static Branch* way_to(Inner& block, const Slot& slot);
  static Branch branch_to(Node& node, std::uint32_t height);

  static Node* insert(Node*& node, std::uint32_t height, const Slot& slot);
  static void erase(Node& node, std::uint32_t height, const Slot& slot);
  static void tidy(Inner& block, Branch* branch, std::uint32_t height);
  static void refresh(Node& node, std::uint32_t height, const Slot& slot);
  static Slot check(Node& node, std::uint32_t height, bool is_root);

  template <class Visitor>
  static bool each_conflict(const Node& node, std::uint32_t height, const Search& search,
                            Visitor& visit) {
    if (height == 0) {
      for (const Slot& slot : leaf(node)) {
        if (search.past(slot)) return true;
        if (search.hits(slot) && !visit(*slot.held)) return false;
      }
      return true;
    }
    for (const Branch& branch : inner(node)) {
      if (search.past(branch)) return true;
      if (search.may_hit(branch) && !each_conflict(*branch.below, height - 1, search, visit))
        return false;
    }
    return true;
  }
  template <class Visitor>
  static void for_each(const Node& node, std::uint32_t height, Visitor& visit) {
    if (height == 0) {
      for (const Slot& slot : leaf(node))
        visit(*slot.held);
    } else {
      for (const Branch& branch : inner(node))
        for_each(*branch.below, height - 1, visit);
    }
  }

  Node* root_ = nullptr;
  std::uint32_t height_ = 0;  ///< of the root above the leaves
};

}  // namespace holdfast::lockd
