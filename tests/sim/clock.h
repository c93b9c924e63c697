#pragma once
/// A node's own clock (CLOCK_BOOTTIME): its own origin and its own speed.

#include "tests/sim/world.h"

#include <cmath>

namespace holdfast::sim {

class NodeClock {
 public:
  NodeClock() = default;
  /// `drift`: 0.005 = gains 5 ms a second.
  NodeClock(Duration origin, double drift) : origin_(origin), rate_(1.0 + drift) {}

  [[nodiscard]] Instant local(Time now) const {
    return Instant(origin_ + Duration(static_cast<std::int64_t>(
                                 std::floor(static_cast<double>(now.count()) * rate_))));
  }
  /// The first true time at which local() has reached `instant`.
  [[nodiscard]] Time when(Instant instant) const {
    const double passed = static_cast<double>((instant.time_since_epoch() - origin_).count());
    Time at(static_cast<std::int64_t>(std::ceil(passed / rate_)));
    while (local(at) < instant)
      ++at;
    return at;
  }
  /// How long `own`, measured by this clock, is in truth.
  [[nodiscard]] Duration real(Duration own) const {
    return Duration(static_cast<std::int64_t>(static_cast<double>(own.count()) / rate_));
  }

 private:
  Duration origin_{};
  double rate_ = 1.0;
};

}  // namespace holdfast::sim
