#pragma once
/// The waiters of one space of a file: who stands behind whom.
///
/// A waiter that must not overtake stands `behind` the latest earlier waiter it conflicts with, and
/// is not looked at before that one is gone. All others are at the *front*: only holders are in
/// their way. So freeing bytes costs the front waiters on these bytes, not the whole queue: ten
/// thousand exclusive waiters for one byte form a chain, and each release looks at one of them.
///
/// Invariant (check_invariants() of Locks):
///  L3  w.behind == nullptr, or: !w.may_overtake, and w.behind waits in the same space, came
///  earlier
///      and conflicts with w.

#include "lockd/core/lock_objects.h"

#include <vector>

namespace holdfast::lockd::wait_queue {

/// Some waiter of another owner that a newcomer with this request conflicts with, or null.
[[nodiscard]] inline const Waiter* conflict(const FileSpace& space, const ByteRange& range,
                                            LockMode mode, const Agent* self) {
  return find_conflict(space.waiters.root(), range, mode, self);
}
/// The latest waiter of another owner that came before `waiter` and conflicts with it, or null.
[[nodiscard]] Waiter* latest_ahead(const Waiter& waiter);

/// Puts `waiter` into its space's queue, behind whom it must not overtake.
void enter(Waiter& waiter);
/// Takes it out. Its followers find new places; those that are now at the front are appended.
void leave(Waiter& waiter, std::vector<Waiter*>& to_the_front);
/// From now on it may overtake: to the front.
void let_overtake(Waiter& waiter);
/// Appends the front waiters that overlap `range`.
void front_on(const FileSpace& space, const ByteRange& range, std::vector<Waiter*>& found);

}  // namespace holdfast::lockd::wait_queue
