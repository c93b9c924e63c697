#pragma once
/// What `holdfast bench lockd` is asked to do. The defaults are the loads that Holdfast aims at.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast::bench {

inline constexpr const char* kScenarios[] = {"sessions", "reconnect", "locks", "ranges", "waiters",
                                             "ops",      "restart",   "store", "hostile"};

struct Options {
  std::vector<std::string> scenarios;  ///< empty: all
  std::optional<std::string> lockd;    ///< none: start one for each scenario
  /// Each as after -o of `holdfast mount`: how that lockd is known, and who we are.
  std::vector<std::string> mount_options;
  std::string binary;     ///< of holdfast-lockd; empty: beside this program
  std::string directory;  ///< for its store and log; empty: a temporary one
  std::size_t sessions = 10'000;
  std::size_t locks = 1'000'000;
  std::size_t files = 100'000;
  std::size_t holders = 100;  ///< sessions that hold those locks, or wait
  std::size_t ranges = 100'000;
  std::size_t waiters = 10'000;
  std::size_t ops = 400'000;
  std::size_t rounds = 6;            ///< of the scenario store
  std::size_t round_size = 1'000;    ///< sessions of a round
  unsigned seconds = 30;             ///< of renewing
  std::vector<std::string> attacks;  ///< of hostile; empty: all
  unsigned attack_seconds = 3;       ///< each, and before and after it
  unsigned patience_s = 300;         ///< what takes longer counts as never
  bool json = false;
};

}  // namespace holdfast::bench
