#pragma once
/// Inodes the kernel knows, by node id and by storage handle. Pure: no I/O, no clock.
///
/// One object per file: as long as anybody holds it (the kernel's lookups, an open handle, a
/// running operation), the same handle gives the same object and the same node id. Node ids are 64
/// bits and never reused, so generations stay 0.
///
/// Thread: one owner. Memory: one entry per inode that the kernel remembers or somebody has open;
/// the kernel bounds its own (it forgets under memory pressure), we add nothing to it.
///
/// Invariants (check_invariants()):
///  N1  A node id names one inode for ever.
///  N2  Two live inodes never have the same storage handle.
///  N3  An inode with lookups > 0 is found by its node id.

#include "fs/backend/types.h"
#include "holdfast/base/assert.h"
#include "holdfast/base/id.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>

namespace holdfast::fs {

using NodeId = Id<struct NodeIdTag>;

/// fuse: FUSE_ROOT_ID.
inline constexpr NodeId kRootNode{1};

template <class Inode>
class InodeTable {
 public:
  using Pointer = std::shared_ptr<Inode>;

  /// The inode of `handle`; `make(node_id)` builds it if nobody knows it yet.
  template <class Make>
  [[nodiscard]] Pointer find_or_make(const FileHandle& handle, Make make) {
    auto& known = by_handle_[handle];
    if (auto inode = known.lock()) return inode;
    Pointer inode = add(std::forward<Make>(make));
    known = inode;
    if (by_handle_.size() > sweep_at_) sweep();
    return inode;
  }
  /// An inode without a storage handle (a virtual file). The caller remembers where it is.
  template <class Make>
  [[nodiscard]] Pointer make_virtual(Make make) {
    return add(std::forward<Make>(make));
  }
  /// Nothing if nobody holds an inode for `handle`.
  [[nodiscard]] Pointer find(const FileHandle& handle) const {
    const auto it = by_handle_.find(handle);
    return it == by_handle_.end() ? nullptr : it->second.lock();
  }
  /// Nothing if the kernel never looked it up, or forgot it.
  [[nodiscard]] Pointer find(NodeId node) const {
    const auto it = by_node_.find(node);
    return it == by_node_.end() ? nullptr : it->second.inode;
  }

  /// The kernel is about to be told of `inode` once more.
  void looked_up(NodeId node, const Pointer& inode) {
    auto& entry = by_node_[node];
    HOLDFAST_ASSERT(!entry.inode || entry.inode == inode, "N1: a node id names two inodes");
    entry.inode = inode;
    ++entry.lookups;
  }
  /// FUSE_FORGET: takes `count` lookups back. Unknown nodes and too large counts are the kernel's
  /// mistake: ignored and clamped.
  void forget(NodeId node, std::uint64_t count) {
    const auto it = by_node_.find(node);
    if (it == by_node_.end()) return;
    it->second.lookups -= std::min(count, it->second.lookups);
    if (it->second.lookups == 0) by_node_.erase(it);
  }
  [[nodiscard]] std::uint64_t lookups(NodeId node) const {
    const auto it = by_node_.find(node);
    return it == by_node_.end() ? 0 : it->second.lookups;
  }
  [[nodiscard]] std::size_t size() const { return by_node_.size(); }

  /// Every live inode that has a storage handle.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [handle, weak] : by_handle_) {
      if (auto inode = weak.lock()) visit(inode);
    }
  }

  void check_invariants() const {
    for (const auto& [node, entry] : by_node_) {
      HOLDFAST_ASSERT(entry.inode != nullptr && entry.lookups > 0, "N3: an empty entry is kept");
      HOLDFAST_ASSERT(node.value < next_node_, "N1: a node id from the future");
    }
  }

 private:
  struct Entry {
    Pointer inode;
    std::uint64_t lookups = 0;
  };

  template <class Make>
  Pointer add(Make make) {
    return make(NodeId{next_node_++});
  }
  /// Drops entries of dead inodes; amortised, the next sweep comes when the table has doubled.
  void sweep() {
    std::erase_if(by_handle_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max(kSweepMin, by_handle_.size() * 2);
  }

  static constexpr std::size_t kSweepMin = 1024;
  std::unordered_map<NodeId, Entry> by_node_;
  std::unordered_map<FileHandle, std::weak_ptr<Inode>> by_handle_;
  std::uint64_t next_node_ = kRootNode.value;
  std::size_t sweep_at_ = kSweepMin;
};

}  // namespace holdfast::fs
