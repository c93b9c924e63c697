#pragma once
/// What bounds the core, and what it counts.

#include "holdfast/base/histogram.h"
#include "holdfast/lock/errc.h"
#include "holdfast/lock/types.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::lockd {

/// Each limit has an error (LockErrc); refusals are counted in Probe::limit_hits, by limit: several
/// of them have the same error.
struct Limits {
  std::uint32_t sessions_max = 10'000;                ///< kTooManySessions
  std::uint32_t sessions_per_volume_max = 10'000;     ///< kTooManySessions
  std::uint32_t files_max = 1'000'000;                ///< with locks or waiters; kTooManyFiles
  std::uint32_t ranges_per_file_max = 200'000;        ///< per space; kTooManyRanges
  std::uint32_t ranges_per_session_max = 250'000;     ///< kTooManyRanges
  std::uint32_t waiters_per_file_max = 16'384;        ///< per space; kTooManyWaiters
  std::uint32_t tokens_per_session_max = 1'000'000;   ///< kTooManyFiles
  std::uint32_t tokens_max = 8'000'000;               ///< of all sessions; kTooManyFiles
  std::uint32_t token_waiters_per_file_max = 16'384;  ///< kTooManyWaiters
  /// Unanswered or unacknowledged, per session; kTooManyRequests. At most half of them may be
  /// waiting locks, and a quarter waiting for tokens (kTooManyWaiters), so that an unlock or a
  /// cancel always finds room.
  std::uint32_t requests_in_flight_max = 65'536;
};

/// Which limit it was that a request met.
enum class Limit : std::uint8_t {
  kSessions,
  kSessionsOfVolume,
  kFiles,
  kRangesOfFile,
  kRangesOfSession,
  kWaitersOfFile,
  kWaitersOfSession,
  kTokens,
  kTokensOfSession,
  kTokenWaitersOfFile,
  kTokenWaitersOfSession,
  kRequestsOfSession,
};
inline constexpr std::size_t kLimits = 12;

/// As logs and metrics call it, e.g. "ranges_of_session".
[[nodiscard]] std::string_view name_of(Limit limit);
[[nodiscard]] LockErrc errc_of(Limit limit);
[[nodiscard]] std::uint32_t value_of(Limit limit, const Limits& limits);

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
