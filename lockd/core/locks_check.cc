// The invariants of the lock table, looked at from outside: O(everything), for tests and debug
// builds.

#include "holdfast/base/assert.h"
#include "lockd/core/locks.h"
#include "lockd/core/wait_graph.h"
#include "lockd/core/wait_queue.h"

#include <set>

namespace holdfast::lockd {
namespace {

/// Order and summaries of a tree; returns the number of nodes.
std::uint32_t check_tree(Waiter* root) {
  if (root == nullptr) return 0;
  const std::uint32_t count = 1 + check_tree(root->left) + check_tree(root->right);
  HOLDFAST_ASSERT(root->left == nullptr || WaiterTraits::less(*root->left, *root), "left is less");
  HOLDFAST_ASSERT(root->right == nullptr || WaiterTraits::less(*root, *root->right),
                  "right is more");
  const Reaches kept = root->reaches;
  WaiterTraits::summarize(*root);
  HOLDFAST_ASSERT(kept.same_as(root->reaches), "a summary tells what is below it");
  return count;
}

}  // namespace

class Locks::Check {
 public:
  explicit Check(const Locks& locks) : locks_(locks) {}

  void run(const std::vector<const SessionLocks*>& sessions) {
    for (const SessionLocks* session : sessions)
      check_session(*session);
    std::size_t held = 0;
    std::size_t waiting = 0;
    std::map<VolumeId, std::size_t> files;
    for (const auto& [id, file] : locks_.files_) {
      ++files[id.volume];
      HOLDFAST_ASSERT(id == file->id && !file->idle(), "L6: files are filed and in use");
      for (FileSpace* space : {&file->range, &file->flock}) {
        check_space(*space);
        held += space->held_count;
        waiting += space->waiter_count;
      }
    }
    HOLDFAST_ASSERT(files == locks_.files_of_volume_, "L6: files are counted by volume");
    HOLDFAST_ASSERT(held == held_ && waiting == waiting_,
                    "L6: what files have, live sessions have, and nobody else");
    HOLDFAST_ASSERT(locks_.settling_.empty(), "L4: nothing is left to look at");
    check_wal(sessions);
  }

 private:
  void check_session(const SessionLocks& session) {
    HOLDFAST_ASSERT(!session.ended, "an ended session is forgotten");
    std::map<std::pair<HandleId, Agent*>, std::uint32_t> tags;
    std::size_t ranges = 0;
    std::size_t waiters = 0;
    for (const auto& [key, agent] : session.agents) {
      HOLDFAST_ASSERT(agent->session == &session && agent->key == key, "L6: agents are filed");
      HOLDFAST_ASSERT(!agent->holdings.empty() || !agent->waiters.empty(), "L6: no idle agent");
      for (const auto& [space, holding] : agent->holdings) {
        check_holding(*agent, *space, holding);
        holding.ranges.for_each([&, owner = agent.get()](const HeldRange& range) {
          ++tags[{range.handle, owner}];
        });
        ranges += holding.count;
      }
      for (const auto& [seq, waiter] : agent->waiters) {
        HOLDFAST_ASSERT(waiter->agent == agent.get() && waiter->seq == seq,
                        "L6: waiters are filed");
        ++tags[{waiter->handle, agent.get()}];
        const auto at = session.waiters.find(waiter->number);
        HOLDFAST_ASSERT(at != session.waiters.end() && at->second.get() == waiter,
                        "L6: a waiter can be cancelled by its number");
        ++waiters;
      }
    }
    HOLDFAST_ASSERT(tags == session.tags, "L6: RELEASE finds what a handle has set");
    HOLDFAST_ASSERT(ranges == session.range_count && waiters == session.waiters.size(),
                    "L6: a session's counters");
    held_ += ranges;
    waiting_ += waiters;
  }

  void check_holding(const Agent& agent, const FileSpace& space, const Holding& holding) {
    HOLDFAST_ASSERT(holding.agent == &agent && holding.space == &space &&
                        space.kind == agent.key.space && holding.count > 0,
                    "L6: holdings are filed and hold something");
    const auto file = locks_.files_.find(space.file->id);
    HOLDFAST_ASSERT(file != locks_.files_.end() && file->second.get() == space.file,
                    "L6: what is held is held in a known file");
    const HeldRange* before = nullptr;
    std::uint32_t count = 0;
    holding.ranges.for_each([&](const HeldRange& range) {
      HOLDFAST_ASSERT(range.holding == &holding, "L6: ranges are filed");
      if (before != nullptr) {
        HOLDFAST_ASSERT(before->range.end() <= range.range.start(), "L2: own ranges are disjoint");
        HOLDFAST_ASSERT(before->range.end() < range.range.start() || before->mode != range.mode ||
                            before->handle != range.handle,
                        "L2: touching ranges of one mode and handle are merged");
      }
      before = &range;
      ++count;
    });
    HOLDFAST_ASSERT(count == holding.count, "L6: a holding's counter");
  }

  void check_space(FileSpace& space) {
    space.held.check_invariants();
    std::uint32_t held = 0;
    space.held.for_each([&](const HeldRange&) { ++held; });
    const std::uint32_t waiting = check_tree(space.waiters.root());
    HOLDFAST_ASSERT(held == space.held_count && waiting == space.waiter_count,
                    "L6: a space's counters");
    space.held.for_each([&](const HeldRange& range) {
      HOLDFAST_ASSERT(
          RangeTable::conflict(space, range.range, range.mode, range.holding) == nullptr,
          "L1: ranges of different owners overlap only if both are shared");
    });
    space.waiters.for_each([&](Waiter& waiter) { check_waiter(waiter); });
  }

  void check_waiter(Waiter& waiter) {
    const Waiter* ahead = wait_queue::latest_ahead(waiter);
    if (const Waiter* behind = waiter.behind) {
      HOLDFAST_ASSERT(!waiter.may_overtake && behind->space == waiter.space &&
                          behind->seq < waiter.seq && behind->agent != waiter.agent &&
                          behind->range.overlaps(waiter.range) &&
                          modes_conflict(behind->mode, waiter.mode),
                      "L3: one stands behind whom one conflicts with");
    } else {
      HOLDFAST_ASSERT(waiter.may_overtake || ahead == nullptr, "L3: nobody jumps the queue");
      HOLDFAST_ASSERT(RangeTable::conflict(*waiter.space, waiter.range, waiter.mode,
                                           Locks::find(*waiter.agent, *waiter.space)) != nullptr,
                      "L4: nobody waits who could be granted");
    }
    HOLDFAST_ASSERT(wait_graph::posix_cycle(waiter) == nullptr, "L5: no cycle of POSIX owners");
    HOLDFAST_ASSERT(wait_graph::fairness_cycle(waiter) == nullptr, "L5: no cycle by fairness");
  }

  void check_wal(const std::vector<const SessionLocks*>& sessions) {
    std::size_t owned = 0;
    for (const SessionLocks* session : sessions)
      owned += session->wal_databases.size();
    HOLDFAST_ASSERT(owned == locks_.wal_.all().size(), "a wal-index is owned by a live session");
    for (const auto& [database, ownership] : locks_.wal_.all()) {
      HOLDFAST_ASSERT(ownership.session->wal_databases.count(database) == 1,
                      "an owner knows its wal-index");
      const SessionLocks& session = *ownership.session;
      const File* file = locks_.find(database);
      bool used = ownership.under_token ||
                  (file != nullptr && Locks::holds(session, file->range, kDatabaseLockBytes));
      for (const FileId& tied : ownership.tied) {
        const File* held = locks_.find(tied);
        used = used ||
               (held != nullptr && (Locks::holds(session, held->range, ByteRange::whole_file()) ||
                                    Locks::holds(session, held->flock, ByteRange::whole_file())));
      }
      HOLDFAST_ASSERT(used, "ownership ends with the last lock");
    }
  }

  const Locks& locks_;
  std::size_t held_ = 0;
  std::size_t waiting_ = 0;
};

void Locks::check_invariants(const std::vector<const SessionLocks*>& sessions) const {
  Check(*this).run(sessions);
}

}  // namespace holdfast::lockd
