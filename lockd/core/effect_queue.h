#pragma once
/// The order in which a coordinator's effects leave, and which of them wait for the store.
///
/// The rule:
///  1. A Welcome waits for all earlier records about its session, and what follows it for that
///     session stays behind it. An answer to an administrator waits likewise.
///  2. Every effect waits for all earlier records that take something away: EndSessionRecord, and
///     PutLoss unless its session is recorded as ended before.
/// Nothing else waits. Why that is enough: what others may get depends on a record only if it takes
/// something away. All other records say what one session is: that it exists, is quiet no more,
/// knows of its losses, is gone. Nobody relies on that but its mount, and that from a Welcome on.
/// Effects for one session leave in their order.
///
/// Records are written in their order; those that come while the store writes are written together
/// afterwards (group commit).
///
/// Thread: one owner. Bounds: what waits here is bounded by the requests in flight of all sessions
/// (Limits) and the connections of the server.

#include "lockd/core/coordinator.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

namespace holdfast::lockd {

class EffectQueue {
 public:
  void add(Effects effects);
  /// The next effect that may be performed, never a Record; nothing: all that is left waits.
  [[nodiscard]] std::optional<Effect> next();
  [[nodiscard]] bool has_next() const { return !ready_.empty(); }
  /// There are changes that take_changes() has not returned.
  [[nodiscard]] bool has_changes() const { return !pending_.empty(); }
  /// What is to be written now, in one transaction: of at most so many records. Not again before
  /// written().
  [[nodiscard]] StoreChanges take_changes(std::size_t records_max = SIZE_MAX);
  /// The changes last taken are durable.
  void written();
  /// Effects that wait for the store, or have not been taken.
  [[nodiscard]] std::size_t waiting() const;
  void clear() { *this = EffectQueue(); }

 private:
  void note(const StoreChanges& changes);
  [[nodiscard]] bool takes_away(const StoreChange& change);
  [[nodiscard]] std::uint64_t needs(const Effect& effect);

  std::deque<Effect> ready_;
  std::map<std::uint64_t, std::deque<Effect>> waiting_;  ///< by the record that they wait for
  std::deque<StoreChanges> pending_;                     ///< records not taken
  std::uint64_t recorded_ = 0;                           ///< records that came
  std::uint64_t taken_ = 0;                              ///< of these, taken
  std::uint64_t durable_ = 0;                            ///< of these, durable
  std::uint64_t taking_ = 0;                             ///< the last that took something away
  std::set<SessionId> ended_;  ///< those that the records so far leave ended
  // While not durable: the last record about a session; the one that its last Welcome waits for.
  std::unordered_map<SessionId, std::uint64_t> of_session_;
  std::unordered_map<SessionId, std::uint64_t> welcomes_;
};

}  // namespace holdfast::lockd
