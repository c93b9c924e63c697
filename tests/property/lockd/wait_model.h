#pragma once
/// A naive lock service with waiters: bytes in maps, waiters in a vector, graph searches without
/// shortcuts. It does not decide whom to grant: it follows a Coordinator's answers and judges them.

#include "holdfast/lock/message.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace holdfast::lockd::test {

struct ModelOwner {
  SessionId session;
  LockSpace space = LockSpace::kRange;
  OwnerId owner;
  friend auto operator<=>(const ModelOwner&, const ModelOwner&) = default;
};

struct ModelWaiter {
  ModelOwner owner;
  RequestNumber number;
  LockRequest request;
  bool may_overtake = false;  ///< its owner held something in the file when it came
  bool let_overtake = false;  ///< perhaps: it stood in a cycle when somebody was let overtake
};

class WaitModel {
 public:
  static constexpr std::uint64_t kBytes = 8;
  struct Cell {
    LockMode mode = LockMode::kShared;
    HandleId handle;
  };
  using Bytes = std::map<std::uint64_t, Cell>;
  using Place = std::pair<FileKey, LockSpace>;

  /// A flock is one byte here.
  static std::uint64_t first(const LockRequest& r) {
    return r.space == LockSpace::kFlock ? 0 : r.range.start();
  }
  static std::uint64_t last(const LockRequest& r) {
    return r.space == LockSpace::kFlock ? 0 : r.range.end() - 1;
  }
  static bool conflict(const LockRequest& a, const LockRequest& b) {
    return a.file == b.file && a.space == b.space && first(a) <= last(b) && first(b) <= last(a) &&
           (a.mode == LockMode::kExclusive || b.mode == LockMode::kExclusive);
  }

  [[nodiscard]] bool holds_in(const ModelOwner& owner, FileKey file) const {
    const auto at = held.find({file, owner.space});
    return at != held.end() && at->second.count(owner) != 0 && !at->second.at(owner).empty();
  }
  /// Owners whose locks are in the way.
  [[nodiscard]] std::set<ModelOwner> holders(const ModelOwner& self, const LockRequest& r) const {
    std::set<ModelOwner> found;
    const auto at = held.find({r.file, r.space});
    if (at == held.end()) return found;
    for (const auto& [owner, cells] : at->second) {
      if (owner == self) continue;
      for (const auto& [byte, cell] : cells)
        if (byte >= first(r) && byte <= last(r) &&
            (r.mode == LockMode::kExclusive || cell.mode == LockMode::kExclusive))
          found.insert(owner);
    }
    return found;
  }
  /// Somebody waits for what `owner` holds.
  [[nodiscard]] bool waited_for(const ModelOwner& owner) const {
    return std::any_of(waiters.begin(), waiters.end(), [&](const ModelWaiter& waiter) {
      return holders(waiter.owner, waiter.request).count(owner) != 0;
    });
  }
  /// Waiters that came before `end` in the queue and conflict.
  [[nodiscard]] std::vector<std::size_t> ahead(const ModelOwner& self, const LockRequest& r,
                                               std::size_t end) const {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < end; ++i)
      if (waiters[i].owner != self && conflict(waiters[i].request, r)) found.push_back(i);
    return found;
  }
  [[nodiscard]] bool blocked(std::size_t i) const {
    const ModelWaiter& w = waiters[i];
    return !holders(w.owner, w.request).empty() ||
           (!w.may_overtake && !ahead(w.owner, w.request, i).empty());
  }

  void set(const ModelOwner& owner, const LockRequest& r) {
    for (std::uint64_t byte = first(r); byte <= last(r); ++byte)
      held[{r.file, r.space}][owner][byte] = {r.mode, r.handle};
  }
  void clear(const ModelOwner& owner, FileKey file, std::uint64_t from, std::uint64_t to) {
    Bytes& cells = held[{file, owner.space}][owner];
    cells.erase(cells.lower_bound(from), cells.upper_bound(to));
  }
  void clear_handle(SessionId session, FileKey file, HandleId handle) {
    for (const LockSpace space : {LockSpace::kRange, LockSpace::kFlock})
      for (auto& [owner, cells] : held[{file, space}])
        if (owner.session == session)
          std::erase_if(cells, [&](const auto& cell) { return cell.second.handle == handle; });
  }
  void forget(SessionId session) {
    for (auto& [place, owners] : held)
      std::erase_if(owners, [&](const auto& entry) { return entry.first.session == session; });
    std::erase_if(waiters, [&](const ModelWaiter& w) { return w.owner.session == session; });
  }
  [[nodiscard]] std::size_t find(SessionId session, RequestNumber number) const {
    for (std::size_t i = 0; i < waiters.size(); ++i)
      if (waiters[i].owner.session == session && waiters[i].number == number) return i;
    return waiters.size();
  }

  /// Would `r`, waiting, close a cycle of holder edges between POSIX waiters?
  [[nodiscard]] bool posix_deadlock(const ModelOwner& self, const LockRequest& r) const {
    if (r.kind != OwnerKind::kPosix || r.space != LockSpace::kRange) return false;
    std::set<ModelOwner> seen;
    std::vector<ModelOwner> todo;
    const auto push = [&](const std::set<ModelOwner>& owners) {
      for (const ModelOwner& owner : owners)
        if (seen.insert(owner).second) todo.push_back(owner);
    };
    push(holders(self, r));
    while (!todo.empty()) {
      const ModelOwner owner = todo.back();
      todo.pop_back();
      if (owner == self) return true;
      for (const ModelWaiter& w : waiters)
        if (w.owner == owner && w.request.kind == OwnerKind::kPosix &&
            w.request.space == LockSpace::kRange)
          push(holders(w.owner, w.request));
    }
    return false;
  }

  /// Waiters of which a fairness edge lies on a cycle. `certain`: only edges of waiters that were
  /// surely not let overtake.
  [[nodiscard]] std::vector<std::size_t> fairness_cycles(bool certain) const {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < waiters.size(); ++i) {
      if (waiters[i].may_overtake || (certain && waiters[i].let_overtake)) continue;
      for (const std::size_t v : ahead(waiters[i].owner, waiters[i].request, i))
        if (reaches(v, waiters[i].owner, certain)) {
          found.push_back(i);
          break;
        }
    }
    return found;
  }

  std::map<Place, std::map<ModelOwner, Bytes>> held;
  std::vector<ModelWaiter> waiters;  ///< in order of arrival

 private:
  [[nodiscard]] bool reaches(std::size_t from, const ModelOwner& target, bool certain) const {
    std::set<std::size_t> seen{from};
    std::vector<std::size_t> todo{from};
    while (!todo.empty()) {
      const std::size_t i = todo.back();
      todo.pop_back();
      const ModelWaiter& w = waiters[i];
      for (const ModelOwner& owner : holders(w.owner, w.request)) {
        if (owner == target) return true;
        for (std::size_t j = 0; j < waiters.size(); ++j)
          if (waiters[j].owner == owner && seen.insert(j).second) todo.push_back(j);
      }
      if (w.may_overtake || (certain && w.let_overtake)) continue;
      for (const std::size_t j : ahead(w.owner, w.request, i))
        if (seen.insert(j).second) todo.push_back(j);
    }
    return false;
  }
};

}  // namespace holdfast::lockd::test
