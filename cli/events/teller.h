#pragma once
/// Which waits are told, when, and how often: one Event for a wait, counted on while it lasts, and
/// a new one when others are in its way. Pure: no I/O, no clock.
///
/// Whoever has this asks, for each wait that is due, who is in its way (that is when lockd and
/// other mounts are asked, and not before), carries the order out, and says what came of it.
///
/// While Kubernetes does not answer nothing is due, for longer and longer; waits are not lost by
/// that, for they are still there when it answers again.
///
/// Thread: one owner. Memory: of at most kWaitsMax waits; the longest are told, others are not.

#include "cli/events/wait.h"
#include "holdfast/base/clock.h"

#include <cstddef>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace holdfast::cli {

/// An Event to be made, or one that was made to be counted on.
struct Order {
  WaitKey key;
  std::string name;  ///< of the Event; the same until it is known to be there
  Pod pod;
  Told told;
  unsigned count = 1;  ///< 1: to be made
};

enum class Outcome {
  kDone,
  kGone,     ///< the Event that was to be counted on is not there any more: it is made anew
  kRefused,  ///< this Event, for ever: its namespace is going away, for example
  kFailed,   ///< nothing can be told now
};

class Teller {
 public:
  static constexpr std::size_t kWaitsMax = 1'000;
  static constexpr std::size_t kPerMinuteMax = 20;  ///< Events of a node, all pods together
  /// A wait is told again after this, twice this, and so on.
  static constexpr std::chrono::minutes kAgainMin{1};
  static constexpr std::chrono::minutes kAgainMax{10};
  /// After a failure, likewise.
  static constexpr std::chrono::seconds kPauseMin{10};
  static constexpr std::chrono::minutes kPauseMax{5};

  /// `waits`: all there are now, the longest first. Others are over and forgotten, but for those on
  /// mounts that are `silent`. Returns those to be told now.
  [[nodiscard]] std::vector<Wait> due(const std::vector<Wait>& waits,
                                      const std::set<std::string>& silent, Instant now);
  /// For one of those. `salt`: differs between programs and times, so that names do.
  [[nodiscard]] Order order(const Wait& wait, Told told, std::uint64_t salt);
  void done(const Order& order, Outcome outcome, Instant now);

 private:
  struct Entry {
    std::string name;  // empty: no Event yet
    std::string behind;
    unsigned count = 0;  // as it stands at Kubernetes
    Duration interval{};
    Instant next{};
  };
  std::map<WaitKey, Entry> entries_;
  std::deque<Instant> sent_;  // within the last minute
  Duration pause_{};
  Instant paused_until_{};
};

}  // namespace holdfast::cli
