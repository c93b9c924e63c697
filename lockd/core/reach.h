#pragma once
/// Interval search among ranges that have owners: which ranges of *other* owners reach past a byte.
///
/// A tree ordered by start, whose nodes know the furthest end in their subtree, answers "what
/// overlaps [a, b)" in O(log n) (Cormen et al., Introduction to Algorithms, interval trees). An
/// owner's own ranges never conflict with it, and an owner may hold very many; so each summary
/// keeps the furthest end *and* the furthest end of everybody but that range's owner. With these
/// two, the furthest end of the ranges not owned by X is known exactly for every X, and X's own
/// ranges cost nothing.

#include "holdfast/lock/byte_range.h"
#include "holdfast/lock/types.h"

#include <algorithm>
#include <cstdint>

namespace holdfast::lockd {

struct Reach {
  std::uint64_t end = 0;        ///< furthest end; 0 = no ranges
  const void* owner = nullptr;  ///< whose that one is
  std::uint64_t other_end = 0;  ///< furthest end of everybody else's

  [[nodiscard]] std::uint64_t beyond(const void* self) const {
    return owner == self ? other_end : end;
  }
  /// Without a range that ends there it might be another.
  [[nodiscard]] bool depends(std::uint64_t one_end) const {
    return one_end == end || one_end == other_end;
  }
  /// Tells the same; among equal ends either owner may be named, then the other end is the same.
  [[nodiscard]] bool same_as(const Reach& that) const {
    return end == that.end && other_end == that.other_end &&
           (owner == that.owner || end == other_end);
  }
  void add(const Reach& more) {
    if (more.end == 0) return;
    if (more.end > end) {
      other_end = std::max(beyond(more.owner), more.other_end);
      end = more.end;
      owner = more.owner;
    } else {
      other_end = std::max(other_end, more.beyond(owner));
    }
  }
};

/// Reaches of all ranges, and of the exclusive ones: what an exclusive and a shared request meet.
struct Reaches {
  Reach any;
  Reach exclusive;

  void add(const Reaches& more) {
    any.add(more.any);
    exclusive.add(more.exclusive);
  }
  /// A range that ends there.
  void add(std::uint64_t end, LockMode mode, const void* owner) {
    const Reach one{end, owner, 0};
    any.add(one);
    if (mode == LockMode::kExclusive) exclusive.add(one);
  }
  [[nodiscard]] bool depends(std::uint64_t one_end) const {
    return any.depends(one_end) || exclusive.depends(one_end);
  }
  [[nodiscard]] bool same_as(const Reaches& that) const {
    return any.same_as(that.any) && exclusive.same_as(that.exclusive);
  }
  /// Furthest end of what conflicts by mode with a request of `self` for `mode`.
  [[nodiscard]] std::uint64_t conflicting(LockMode mode, const void* self) const {
    return (mode == LockMode::kExclusive ? any : exclusive).beyond(self);
  }
};

[[nodiscard]] constexpr bool modes_conflict(LockMode a, LockMode b) {
  return a == LockMode::kExclusive || b == LockMode::kExclusive;
}

/// The first node in order that overlaps `range`, conflicts with `mode` and is not `self`'s.
/// Node has range, mode, reaches, left, right and owner().
template <class Node>
[[nodiscard]] Node* find_conflict(Node* at, const ByteRange& range, LockMode mode,
                                  const void* self) {
  // If a left subtree reaches past range.start() but holds no hit, then the range that reaches so
  // far starts at or after range.end(), and so does everything to the right: no second descent.
  while (at != nullptr && at->reaches.conflicting(mode, self) > range.start()) {
    if (at->range.start() >= range.end()) {
      at = at->left;
      continue;
    }
    if (at->left != nullptr && at->left->reaches.conflicting(mode, self) > range.start()) {
      at = at->left;
      continue;
    }
    if (at->range.end() > range.start() && modes_conflict(at->mode, mode) && at->owner() != self)
      return at;
    at = at->right;
  }
  return nullptr;
}

/// Visits, in order of their starts, all that overlap `range`, conflict with `mode` and are not
/// `self`'s, while `visit` returns true. O(hits * log n).
template <class Node, class Visitor>
bool each_conflict(Node* at, const ByteRange& range, LockMode mode, const void* self,
                   Visitor& visit) {
  if (at == nullptr || at->reaches.conflicting(mode, self) <= range.start()) return true;
  if (!each_conflict(at->left, range, mode, self, visit)) return false;
  if (at->range.start() >= range.end()) return true;
  if (at->range.end() > range.start() && modes_conflict(at->mode, mode) && at->owner() != self &&
      !visit(*at))
    return false;
  return each_conflict(at->right, range, mode, self, visit);
}

}  // namespace holdfast::lockd
