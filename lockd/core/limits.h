#pragma once
/// What bounds the core, and what it counts.

#include "holdfast/base/histogram.h"
#include "holdfast/lock/limit.h"
#include "holdfast/lock/message.h"
#include "holdfast/lock/types.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace holdfast::lockd {

/// Each limit has an error (errc_of); refusals are counted in Probe::limit_hits, by limit: several
/// of them have the same error.
struct Limits {
  std::uint32_t sessions_max = 10'000;
  std::uint32_t sessions_per_volume_max = 10'000;
  std::uint32_t files_max = 1'000'000;             ///< with locks or waiters
  std::uint32_t files_per_volume_max = 1'000'000;  ///< of these
  std::uint32_t ranges_per_file_max = 200'000;     ///< per space
  std::uint32_t ranges_per_session_max = 250'000;
  std::uint32_t waiters_per_file_max = 16'384;  ///< per space
  std::uint32_t tokens_max = 8'000'000;         ///< of all sessions
  std::uint32_t tokens_per_volume_max = 8'000'000;
  std::uint32_t tokens_per_session_max = 1'000'000;
  std::uint32_t token_waiters_per_file_max = 16'384;
  /// Unanswered or unacknowledged, per session. At most half of them may be waiting locks, and a
  /// quarter waiting for tokens, so that an unlock or a cancel always finds room.
  std::uint32_t requests_in_flight_max = 65'536;
};

[[nodiscard]] std::uint32_t value_of(Limit limit, const Limits& limits);
/// What is wrong with the value, for people; nothing: it is `limit`'s from now on.
[[nodiscard]] std::string set_limit(Limits& limits, Limit limit, std::uint64_t value);
/// The answer to whoever met `limit`.
[[nodiscard]] Refused refused_by(Limit limit, const Limits& limits);

/// How often each limit refused something, and whom it refused last.
class LimitHits {
 public:
  struct Hits {
    std::uint64_t count = 0;
    SessionId last{};  ///< 0: a session that was not opened
  };
  void add(Limit limit, SessionId session) {
    Hits& hits = hits_.at(static_cast<std::size_t>(limit));
    ++hits.count;
    hits.last = session;
    ++total_;
  }
  [[nodiscard]] const Hits& of(Limit limit) const {
    return hits_.at(static_cast<std::size_t>(limit));
  }
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  std::array<Hits, kLimits> hits_{};
  std::uint64_t total_ = 0;
};

/// Counters for metrics and tests.
struct Probe {
  std::uint64_t grants = 0;
  std::uint64_t denials = 0;  ///< kWouldBlock and kWalOwnedElsewhere
  std::uint64_t waits = 0;
  std::uint64_t deadlocks = 0;
  std::uint64_t cancels = 0;
  std::uint64_t overtakes =
      0;  ///< waiters let past an earlier one to break a cycle or end patience
  std::uint64_t expiries = 0;
  LimitHits limit_hits;
  std::uint64_t token_grants = 0;
  std::uint64_t recalls = 0;        ///< of tokens; repeated ones count once
  std::uint64_t recalls_unmet = 0;  ///< not answered within recall_max
  Histogram lock_waits;             ///< of requests that waited: until they did no more
  Histogram recall_times;           ///< of recalls that were answered, until then
};

}  // namespace holdfast::lockd
