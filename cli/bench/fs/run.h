#pragma once
/// Runs the chosen scenarios at all places, round by round in turn, so that what else the machine
/// does meets all of them alike.

#include "cli/bench/fs/result.h"
#include "cli/bench/fs/scenario.h"

#include <functional>
#include <string>
#include <vector>

namespace holdfast::bench::fs {

/// Those that `only` names: a scenario, one of its results, or a family ("insert"). Throws
/// SetupError for a name that means none.
[[nodiscard]] std::vector<Kind> chosen_kinds(const std::vector<std::string>& only);

struct Listener {
  std::function<void(const std::string&)> progress;  ///< one line
  std::function<void(const Result&)> done;
};

/// Throws SetupError, Interrupted.
[[nodiscard]] std::vector<Result> run_all(const Options& options, const Listener& listener);

}  // namespace holdfast::bench::fs
