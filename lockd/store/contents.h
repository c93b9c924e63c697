#pragma once
/// What a store holds, as a value: all of MemoryStore, the model that tests compare the SQLite file
/// with, and what a starting lockd is told.

#include "lockd/core/records.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

namespace holdfast::lockd {

struct Contents {
  Epoch epoch;
  bool empty = true;
  std::chrono::milliseconds lease_ttl_max{0};
  std::map<SessionId, SessionRecord> sessions;
  std::optional<Epoch> before;  ///< set by begin_life()

  /// Idempotent. What names a session that is not there changes nothing, but PutSession.
  /// `lease_ttl` is this life's, for Settled.
  void apply(const StoreChange& change, std::chrono::milliseconds lease_ttl);
  /// A new life: the epoch is above every earlier one and not below the wall clock, so that also a
  /// store that was deleted is followed by a greater one.
  void begin_life(std::uint64_t wall_seconds, std::chrono::milliseconds lease_ttl);
  [[nodiscard]] Recovered recovered() const;
};

}  // namespace holdfast::lockd
