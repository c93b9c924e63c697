#pragma once
/// The wait-for graph, read off the tables: nothing is kept beside them that could disagree.
///
/// A waiter waits for *every* owner that holds something in its way, and, unless it may overtake,
/// for every earlier waiter it conflicts with (a fairness edge). An owner is stuck as long as it
/// has a waiter. Any cycle is a deadlock. A cycle of holder edges between POSIX waiters is what
/// Linux reports as EDEADLK (fs/locks.c, posix_locks_deadlock; there at most ten steps deep and
/// along one holder at a time). A cycle with a fairness edge would not exist on Linux, which has no
/// fairness: it is never reported, but broken by letting a waiter overtake.

#include "lockd/core/lock_objects.h"

#include <cstddef>

namespace holdfast::lockd::wait_graph {

/// Somebody waits for something that `agent` holds. If not, no cycle leads through its waiters.
[[nodiscard]] bool waited_for(const Agent& agent);

/// A cycle of holder edges between POSIX waiters that leads from `start` back to its owner: the
/// last waiter on it, whose holder edge closes it. Null if there is none. `start` need not be in
/// its queue yet.
[[nodiscard]] Waiter* posix_cycle(Waiter& start);

/// A cycle with at least one fairness edge that leads from `start` back to its owner: a waiter on
/// it that is blocked by fairness. Null if there is none. `start` need not be in its queue yet.
///
/// Looks at `edges_max` edges at most. Beyond, `start` itself is the answer if fairness blocks it:
/// overtaking without need only costs order, a deadlock costs everything.
[[nodiscard]] Waiter* fairness_cycle(Waiter& start, std::size_t edges_max = 200'000);

}  // namespace holdfast::lockd::wait_graph
