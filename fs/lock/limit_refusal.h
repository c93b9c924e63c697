#pragma once
/// A refusal because of a limit, as the mount's log tells it: which limit, what it means for the
/// caller and his data, what to do. Pure.

#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace holdfast::fs {

/// Besides, the call is completed as if this was not told.
struct LimitRefusal {
  enum class By : std::uint8_t {
    kLockd,
    kMount,  ///< a bound of this mount's own, which is lockd's usual one
  };
  enum class Cost : std::uint8_t {
    kNotLocked,    ///< the program hears of it
    kStaysLocked,  ///< as well
    kNotDone,      ///< as well
    kWaits,        ///< a token: the mount asks again
    kLost,         ///< what the mount had decided or kept under its token
  };
  By by = By::kLockd;
  Cost cost = Cost::kNotDone;
  LockErrc errc = LockErrc::kBadRequest;
  std::optional<LimitMet> met{};  ///< nothing: an older lockd, which does not say which
};

/// Nothing: `refused` is about no limit.
[[nodiscard]] std::optional<LimitRefusal> limit_refusal(const Command& command,
                                                        const Refused& refused,
                                                        LimitRefusal::By by);

// For people.
[[nodiscard]] std::string meaning_of(const LimitRefusal& refusal);
[[nodiscard]] std::string hint_for(const LimitRefusal& refusal);

/// When the next line about the same limit and cost is due: programs that meet a limit go on
/// trying, and a token is asked for several times a second.
class LimitLines {
 public:
  static constexpr Duration kPause = std::chrono::minutes(1);

  /// How often it happened since the last line, with this time; nothing: no line now.
  [[nodiscard]] std::optional<std::uint64_t> due(const LimitRefusal& refusal, Instant now);

 private:
  struct Line {
    std::optional<Instant> said{};
    std::uint64_t times = 0;
  };
  struct Kind {
    LimitRefusal::By by;
    LimitRefusal::Cost cost;
    LockErrc errc;
    std::optional<Limit> limit;
    friend constexpr auto operator<=>(const Kind&, const Kind&) = default;
  };
  std::map<Kind, Line> lines_;  // as many as there are limits and costs
};

}  // namespace holdfast::fs
