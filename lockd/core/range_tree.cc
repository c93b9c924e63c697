#include "lockd/core/range_tree.h"

#include "holdfast/base/assert.h"
#include "lockd/core/lock_objects.h"

#include <algorithm>
#include <new>
#include <optional>
#include <type_traits>

namespace holdfast::lockd {

// ---- Entries and blocks

RangeTree::Slot::Slot(HeldRange& range)
    : start(range.range.start() & (ByteRange::kEnd - 1)),
      exclusive(range.mode == LockMode::kExclusive ? 1 : 0),
      end(range.range.end()),
      holding(range.holding),
      held(&range) {}

inline std::uint64_t RangeTree::Slot::seq() const {
  return holding->seq;
}

/// By start and, among equal starts, by seq: that is read only then, it is elsewhere in memory.
inline bool RangeTree::less(const Slot& slot, std::uint64_t start, std::uint64_t seq) {
  return slot.start < start || (slot.start == start && slot.seq() < seq);
}
inline bool RangeTree::less(const Slot& a, const Slot& b) {
  return a.start < b.start || (a.start == b.start && a.seq() < b.seq());
}

// Entry by entry: in so few that is quicker than halving, whose steps wait for one another. From
// the end, where readers of one range and whoever locks onwards arrive.

/// The first slot that is not less: where `slot` is, or would be inserted.
RangeTree::Slot* RangeTree::place_of(Leaf& block, const Slot& slot) {
  Slot* place = block.end();
  while (place != block.begin() && !less(place[-1], slot))
    --place;
  return place;
}

/// The last branch that is not greater, or the first.
RangeTree::Branch* RangeTree::way_to(Inner& block, const Slot& slot) {
  Branch* branch = block.end() - 1;
  while (branch != block.begin() && less(slot, branch->start, branch->seq))
    --branch;
  return branch;
}

RangeTree::Branch RangeTree::branch_to(Node& node, std::uint32_t height) {
  Branch branch{.start = 0, .reaches = {}, .below = &node, .seq = 0};
  if (height == 0) {
    for (const Slot& slot : leaf(node))
      branch.reaches.add(slot.end, slot.mode(), slot.holding);
    branch.start = leaf(node).begin()->start;
    branch.seq = leaf(node).begin()->seq();
  } else {
    for (const Branch& below : inner(node))
      branch.reaches.add(below.reaches);
    branch.start = inner(node).begin()->start;
    branch.seq = inner(node).begin()->seq;
  }
  return branch;
}

template <class Entry>
RangeTree::Block<Entry>* RangeTree::make_block(std::uint32_t capacity) {
  static_assert(sizeof(Block<Entry>) % alignof(Entry) == 0);
  static_assert(std::is_trivially_copyable_v<Entry>);
  void* memory = ::operator new(sizeof(Block<Entry>) + capacity * sizeof(Entry));
  return new (memory) Block<Entry>{{.count = 0, .capacity = capacity}};
}

void RangeTree::free_block(Node* node) {
  ::operator delete(node);
}

/// Puts an entry into the block `node`, at `place`. The block may move to larger memory; if it has
/// its full size, its upper half moves to a new block, which is returned.
template <class Entry>
RangeTree::Node* RangeTree::put(Node*& node, std::ptrdiff_t place, const Entry& entry) {
  auto* block = static_cast<Block<Entry>*>(node);
  Block<Entry>* upper = nullptr;
  if (block->count == block->capacity && block->capacity < kBlock) {
    auto* larger = make_block<Entry>(block->capacity * 2);
    std::copy(block->begin(), block->end(), larger->begin());
    larger->count = block->count;
    free_block(block);
    node = block = larger;
  } else if (block->count == block->capacity) {
    upper = make_block<Entry>(kBlock);
    std::copy(block->begin() + kBlock / 2, block->end(), upper->begin());
    upper->count = block->count - kBlock / 2;
    block->count = kBlock / 2;
  }
  auto* into = block;
  if (upper != nullptr && place > kBlock / 2) {
    into = upper;
    place -= kBlock / 2;
  }
  std::copy_backward(into->begin() + place, into->end(), into->end() + 1);
  *(into->begin() + place) = entry;
  ++into->count;
  return upper;
}

template <class Entry>
void RangeTree::take(Block<Entry>& block, Entry* place) {
  std::copy(place + 1, block.end(), place);
  --block.count;
}

/// Appends the entries of `next`, the block after `node`, and frees it, if few enough.
template <class Entry>
bool RangeTree::merge(Node& node, Node& next) {
  auto& block = static_cast<Block<Entry>&>(node);
  auto& more = static_cast<Block<Entry>&>(next);
  if (block.count + more.count > kMerge) return false;
  std::copy(more.begin(), more.end(), block.end());
  block.count += more.count;
  free_block(&more);
  return true;
}

// ---- Changes

void RangeTree::insert(HeldRange& held) {
  const Slot slot(held);
  if (root_ == nullptr) root_ = make_block<Slot>(2);
  Node* upper = insert(root_, height_, slot);
  if (upper == nullptr) return;
  Node* top = make_block<Branch>(2);
  put(top, 0, branch_to(*root_, height_));
  put(top, 1, branch_to(*upper, height_));
  root_ = top;
  ++height_;
}

/// Returns the block that `node` was split off, if it was.
RangeTree::Node* RangeTree::insert(Node*& node, std::uint32_t height, const Slot& slot) {
  if (height == 0) {
    Leaf& block = leaf(*node);
    return put(node, place_of(block, slot) - block.begin(), slot);
  }
  Inner& block = inner(*node);
  Branch& branch = *way_to(block, slot);
  Node* upper = insert(branch.below, height - 1, slot);
  if (upper != nullptr) {
    branch = branch_to(*branch.below, height - 1);
    return put(node, &branch - block.begin() + 1, branch_to(*upper, height - 1));
  }
  branch.reaches.add(slot.end, slot.mode(), slot.holding);
  if (less(slot, branch.start, branch.seq)) {
    branch.start = slot.start;
    branch.seq = slot.seq();
  }
  return nullptr;
}

void RangeTree::erase(HeldRange& held) {
  erase(*root_, height_, Slot(held));
  while (height_ > 0 && root_->count == 1) {
    Node* only = inner(*root_).begin()->below;
    free_block(root_);
    root_ = only;
    --height_;
  }
  if (root_->count > 0) return;
  free_block(root_);
  root_ = nullptr;
}

void RangeTree::erase(Node& node, std::uint32_t height, const Slot& slot) {
  if (height == 0) {
    Leaf& block = leaf(node);
    Slot* place = place_of(block, slot);
    HOLDFAST_ASSERT(place != block.end() && place->held == slot.held, "what is taken is there");
    take(block, place);
    return;
  }
  Inner& block = inner(node);
  Branch* branch = way_to(block, slot);
  erase(*branch->below, height - 1, slot);
  if (branch->reaches.depends(slot.end) && branch->below->count > 0)
    branch->reaches = branch_to(*branch->below, height - 1).reaches;
  tidy(block, branch, height - 1);
}

/// After something was taken below `branch`, whose block has `height`.
void RangeTree::tidy(Inner& block, Branch* branch, std::uint32_t height) {
  if (branch->below->count == 0) {
    free_block(branch->below);
    take(block, branch);
    return;
  }
  const auto merge_next = [&](Branch* at) {
    Branch* next = at + 1;
    if (next == block.end()) return false;
    if (!(height == 0 ? merge<Slot>(*at->below, *next->below)
                      : merge<Branch>(*at->below, *next->below)))
      return false;
    at->reaches.add(next->reaches);
    take(block, next);
    return true;
  };
  if (branch->below->count > kMerge / 2 || merge_next(branch)) return;
  if (branch != block.begin()) merge_next(branch - 1);
}

void RangeTree::refresh(HeldRange& held) {
  refresh(*root_, height_, Slot(held));
}

void RangeTree::refresh(Node& node, std::uint32_t height, const Slot& slot) {
  if (height == 0) {
    Slot* place = place_of(leaf(node), slot);
    HOLDFAST_ASSERT(place != leaf(node).end() && place->held == slot.held,
                    "what has changed is there");
    *place = slot;
    return;
  }
  Branch* branch = way_to(inner(node), slot);
  refresh(*branch->below, height - 1, slot);
  branch->reaches = branch_to(*branch->below, height - 1).reaches;
}

// ---- Search

HeldRange* RangeTree::conflict(const ByteRange& range, LockMode mode, const Holding* self) const {
  if (root_ == nullptr) return nullptr;
  const Search search{range, mode, self};
  const Node* node = root_;
  for (std::uint32_t height = height_; height > 0; --height) {
    // If the first branch that reaches past range.start() holds no hit, then the range that reaches
    // so far starts at or after range.end(), and so does everything after it: one way down.
    const Node* below = nullptr;
    for (const Branch& branch : inner(*node)) {
      if (search.past(branch)) return nullptr;
      if (!search.may_hit(branch)) continue;
      below = branch.below;
      break;
    }
    if (below == nullptr) return nullptr;
    node = below;
  }
  for (const Slot& slot : leaf(*node)) {
    if (search.past(slot)) return nullptr;
    if (search.hits(slot)) return slot.held;
  }
  return nullptr;
}

// ---- Invariants

void RangeTree::check_invariants() const {
  if (root_ != nullptr) check(*root_, height_, true);
}

/// Returns the last slot below.
RangeTree::Slot RangeTree::check(Node& node, std::uint32_t height, bool is_root) {
  HOLDFAST_ASSERT(node.count > 0 && node.count <= node.capacity, "blocks hold something");
  HOLDFAST_ASSERT(node.capacity == kBlock || (is_root && node.capacity < kBlock),
                  "only the root is small");
  if (height == 0) {
    const Slot* before = nullptr;
    for (const Slot& slot : leaf(node)) {
      const HeldRange& held = *slot.held;
      HOLDFAST_ASSERT(slot.start == held.range.start() && slot.end == held.range.end() &&
                          slot.mode() == held.mode && slot.holding == held.holding,
                      "a slot tells what its range is");
      HOLDFAST_ASSERT(before == nullptr || less(*before, slot), "ranges are in order");
      before = &slot;
    }
    return *before;
  }
  HOLDFAST_ASSERT(!is_root || node.count > 1, "the root has something to tell apart");
  std::optional<Slot> before;
  for (const Branch& branch : inner(node)) {
    const Branch fresh = branch_to(*branch.below, height - 1);
    HOLDFAST_ASSERT(branch.reaches.same_as(fresh.reaches), "a summary tells what is below it");
    HOLDFAST_ASSERT(
        branch.start < fresh.start || (branch.start == fresh.start && branch.seq <= fresh.seq),
        "a branch starts not after what is below it");
    HOLDFAST_ASSERT(!before || less(*before, branch.start, branch.seq),
                    "a branch starts after what is before it");
    before = check(*branch.below, height - 1, false);
  }
  return *before;
}

}  // namespace holdfast::lockd
