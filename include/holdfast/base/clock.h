#pragma once
/// Time as the cores see it: passed in, never read.

#include <chrono>

namespace holdfast {

using Duration = std::chrono::nanoseconds;

/// A tag, not a clock that can be read: cores get their Instant from the rim or the simulator.
/// Counts on suspend too (CLOCK_BOOTTIME at the rim), so a sleeping machine's leases end. Unrelated
/// to wall time.
struct LeaseClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<LeaseClock, Duration>;
  static constexpr bool is_steady = true;
};
using Instant = LeaseClock::time_point;

/// Reads CLOCK_BOOTTIME. For the rim only (lint refuses it in cores).
[[nodiscard]] Instant boot_time_now();

}  // namespace holdfast
