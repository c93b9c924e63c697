#include "lockd/core/wait_graph.h"

#include "lockd/core/range_table.h"
#include "lockd/core/wait_queue.h"

#include <array>
#include <unordered_set>
#include <vector>

namespace holdfast::lockd::wait_graph {
namespace {

const Holding* holding_of(const Waiter& waiter) {
  const auto at = waiter.agent->holdings.find(waiter.space);
  return at == waiter.agent->holdings.end() ? nullptr : &at->second;
}

bool in_the_way_of(const Holding& holding, const Waiter& waiter) {
  if (waiter.agent == holding.agent) return false;
  const HeldRange* held = holding.ranges.first(
      [&](const HeldRange& range) { return range.range.end() > waiter.range.start(); });
  // Ranges of one holding may differ in mode, so the first overlap need not be a conflict.
  while (held != nullptr && held->range.start() < waiter.range.end()) {
    if (modes_conflict(held->mode, waiter.mode)) return true;
    const std::uint64_t end = held->range.end();
    held = holding.ranges.first([end](const HeldRange& range) { return range.range.end() > end; });
  }
  return false;
}

bool waited_for(const Holding& holding) {
  const FileSpace& space = *holding.space;
  if (space.waiter_count == 0) return false;
  bool found = false;
  if (space.waiter_count < holding.count) {
    space.waiters.for_each(
        [&](const Waiter& waiter) { found = found || in_the_way_of(holding, waiter); });
  } else {
    holding.ranges.for_each([&](const HeldRange& held) {
      found = found || wait_queue::conflict(space, held.range, held.mode, holding.agent) != nullptr;
    });
  }
  return found;
}

/// A waiter reached by the search, and over what.
struct Step {
  Waiter* waiter = nullptr;
  bool fair = false;         ///< a fairness edge lies on the way here
  Waiter* yields = nullptr;  ///< the first on the way that fairness blocks
};

class FairnessSearch {
 public:
  FairnessSearch(Waiter& start, std::size_t edges_max) : start_(start), edges_left_(edges_max) {}

  Waiter* run() {
    reach({&start_, false, nullptr});
    while (!todo_.empty()) {
      const Step step = todo_.back();
      todo_.pop_back();
      if (Waiter* found = expand(step)) return found;
      if (edges_left_ == 0)
        return start_.may_overtake || wait_queue::latest_ahead(start_) == nullptr ? nullptr
                                                                                  : &start_;
    }
    return nullptr;
  }

 private:
  Waiter* expand(const Step& step) {
    Waiter& waiter = *step.waiter;
    Waiter* found = nullptr;
    auto holder = [&](const HeldRange& held) {
      const Agent* agent = held.holding->agent;
      if (agent == start_.agent) {
        // A pure holder cycle is no business of this search: Linux would have it too.
        if (step.fair) found = step.yields;
      } else if (agents_[step.fair ? 1 : 0].insert(agent).second) {
        for (const auto& [seq, next] : agent->waiters)
          reach({next, step.fair, step.yields});
      }
      return found == nullptr && spend();
    };
    waiter.space->held.each_conflict(waiter.range, waiter.mode, holding_of(waiter), holder);
    if (found != nullptr || waiter.may_overtake) return found;
    auto ahead = [&](Waiter& earlier) {
      if (earlier.seq < waiter.seq) reach({&earlier, true, step.fair ? step.yields : &waiter});
      return spend();
    };
    each_conflict(waiter.space->waiters.root(), waiter.range, waiter.mode, waiter.agent, ahead);
    return nullptr;
  }

  void reach(const Step& step) {
    if (seen_[step.fair ? 1 : 0].insert(step.waiter).second) todo_.push_back(step);
  }
  bool spend() {
    if (edges_left_ > 0) --edges_left_;
    return edges_left_ > 0;
  }

  Waiter& start_;
  std::size_t edges_left_;
  std::vector<Step> todo_;
  std::array<std::unordered_set<const Waiter*>, 2> seen_;  ///< without, with a fairness edge
  std::array<std::unordered_set<const Agent*>, 2> agents_;
};

}  // namespace

bool waited_for(const Agent& agent) {
  for (const auto& [space, holding] : agent.holdings)
    if (waited_for(holding)) return true;
  return false;
}

Waiter* posix_cycle(Waiter& start) {
  if (start.kind != OwnerKind::kPosix) return nullptr;
  std::unordered_set<const Agent*> seen;
  std::vector<Waiter*> todo{&start};
  while (!todo.empty()) {
    Waiter& waiter = *todo.back();
    todo.pop_back();
    bool closed = false;
    auto holder = [&](const HeldRange& held) {
      const Agent* agent = held.holding->agent;
      closed = agent == start.agent;
      if (!closed && seen.insert(agent).second)
        for (const auto& [seq, next] : agent->waiters)
          if (next->kind == OwnerKind::kPosix) todo.push_back(next);
      return !closed;
    };
    waiter.space->held.each_conflict(waiter.range, waiter.mode, holding_of(waiter), holder);
    if (closed) return &waiter;
  }
  return nullptr;
}

Waiter* fairness_cycle(Waiter& start, std::size_t edges_max) {
  return FairnessSearch(start, edges_max).run();
}

}  // namespace holdfast::lockd::wait_graph
