#pragma once
/// Inodes the kernel knows, by node id, by storage handle and by file key. Pure: no I/O, no clock.
///
/// One object per file: as long as anybody holds it (the kernel's lookups, an open handle, a
/// running operation), the same handle gives the same object and the same node id. Node ids are 64
/// bits and never reused, so generations stay 0.
///
/// An inode leaves the table by itself when nobody holds it any more: nothing of the dead is kept.
///
/// Thread: one owner. Memory: of inodes that the kernel remembers or somebody has open. The kernel
/// bounds its own only by its own memory: CacheBound asks it for some back.
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
#include <unordered_set>
#include <utility>

namespace holdfast::fs {

using NodeId = Id<struct NodeIdTag>;

/// fuse: FUSE_ROOT_ID.
inline constexpr NodeId kRootNode{1};

class InodeNames;

/// By what else than the node id an inode is found.
class InodeIndex {
 public:
  void add(InodeNames& inode);
  void remove(InodeNames& inode);
  [[nodiscard]] InodeNames* find(const FileHandle& handle) const;
  [[nodiscard]] InodeNames* find(const FileKey& key) const;
  [[nodiscard]] std::size_t size() const { return by_handle_.size(); }
  [[nodiscard]] const auto& all() const { return by_handle_; }
  /// Gives room back that many have left.
  void shrink();

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(const FileHandle& handle) const noexcept { return handle.hash(); }
    std::size_t operator()(const InodeNames* inode) const noexcept;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const InodeNames* a, const InodeNames* b) const { return a == b; }
    bool operator()(const FileHandle& handle, const InodeNames* inode) const;
    bool operator()(const InodeNames* inode, const FileHandle& handle) const {
      return (*this)(handle, inode);
    }
  };
  std::unordered_set<InodeNames*, Hash, Equal> by_handle_;
  std::unordered_map<FileKey, InodeNames*> by_key_;  // of two with one key, the later
};

/// The names of an inode, which is derived from it. What has no handle (a virtual file) is in no
/// index: who made it remembers it.
class InodeNames {
 public:
  InodeNames(NodeId node_id, const FileHandle& storage_handle, const FileKey& file_key)
      : node(node_id), handle(storage_handle), key(file_key) {}
  ~InodeNames() {
    if (index_ != nullptr) index_->remove(*this);
  }
  InodeNames(const InodeNames&) = delete;
  InodeNames& operator=(const InodeNames&) = delete;

  const NodeId node;
  const FileHandle handle;  ///< empty for virtual files
  const FileKey key;        ///< with `handle`'s hash

 private:
  friend class InodeIndex;
  InodeIndex* index_ = nullptr;  // outlives it
};

inline std::size_t InodeIndex::Hash::operator()(const InodeNames* inode) const noexcept {
  return inode->key.handle_hash;
}
inline bool InodeIndex::Equal::operator()(const FileHandle& handle, const InodeNames* inode) const {
  return inode->handle == handle;
}
inline void InodeIndex::add(InodeNames& inode) {
  HOLDFAST_ASSERT(inode.key.handle_hash == inode.handle.hash(), "a key of another handle");
  HOLDFAST_ASSERT(find(inode.handle) == nullptr, "N2: two inodes of one storage handle");
  by_handle_.insert(&inode);
  by_key_.insert_or_assign(inode.key, &inode);
  inode.index_ = this;
}
inline void InodeIndex::remove(InodeNames& inode) {
  by_handle_.erase(&inode);
  const auto it = by_key_.find(inode.key);
  if (it != by_key_.end() && it->second == &inode) by_key_.erase(it);
}
inline InodeNames* InodeIndex::find(const FileHandle& handle) const {
  const auto it = by_handle_.find(handle);
  return it == by_handle_.end() ? nullptr : *it;
}
inline InodeNames* InodeIndex::find(const FileKey& key) const {
  const auto it = by_key_.find(key);
  return it == by_key_.end() ? nullptr : it->second;
}
inline void InodeIndex::shrink() {
  by_handle_.rehash(0);
  by_key_.rehash(0);
}

/// `Inode` is derived from InodeNames and enable_shared_from_this. No inode outlives its table.
template <class Inode>
class InodeTable {
 public:
  using Pointer = std::shared_ptr<Inode>;

  /// The inode of `handle`; `make(node_id)` builds it if nobody knows it yet.
  template <class Make>
  [[nodiscard]] Pointer find_or_make(const FileHandle& handle, Make make) {
    if (auto inode = find(handle)) return inode;
    Pointer inode = make_virtual(std::forward<Make>(make));
    index_.add(*inode);
    return inode;
  }
  /// An inode without a storage handle (a virtual file). The caller remembers where it is.
  template <class Make>
  [[nodiscard]] Pointer make_virtual(Make make) {
    return make(NodeId{next_node_++});
  }
  /// Nothing if nobody holds an inode for `handle`.
  [[nodiscard]] Pointer find(const FileHandle& handle) const { return held(index_.find(handle)); }
  /// Nothing if nobody holds an inode of this file; of none but such that have a handle.
  [[nodiscard]] Pointer find(const FileKey& key) const { return held(index_.find(key)); }
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
    if (it->second.lookups > 0) return;
    // Taken out first: the inode's end goes through the index.
    const Entry last = std::move(it->second);
    by_node_.erase(it);
  }
  [[nodiscard]] std::uint64_t lookups(NodeId node) const {
    const auto it = by_node_.find(node);
    return it == by_node_.end() ? 0 : it->second.lookups;
  }
  /// Inodes that the kernel remembers.
  [[nodiscard]] std::size_t size() const { return by_node_.size(); }
  /// Inodes with a storage handle that anybody holds.
  [[nodiscard]] std::size_t alive() const { return index_.size(); }
  /// Gives room back that many have left. Costs a look at all that are left.
  void shrink() {
    by_node_.rehash(0);
    index_.shrink();
  }

  /// Every live inode that has a storage handle.
  template <class Visit>
  void for_each(Visit visit) const {
    for (InodeNames* const names : index_.all()) {
      if (auto inode = held(names)) visit(inode);
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

  [[nodiscard]] static Pointer held(InodeNames* names) {
    if (names == nullptr) return nullptr;
    return static_cast<Inode*>(names)->weak_from_this().lock();
  }

  InodeIndex index_;  // first: inodes leave it as they go
  std::unordered_map<NodeId, Entry> by_node_;
  std::uint64_t next_node_ = kRootNode.value;
};

}  // namespace holdfast::fs
