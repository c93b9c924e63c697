#pragma once
/// `holdfast bench lockd [SCENARIO ...]`: loads a real holdfast-lockd with simulated mounts, tells
/// what it costs, and judges whether it stays right under the load.

#include "cli/bench/options.h"
#include "cli/bench/report.h"

#include <functional>

namespace CLI {
class App;
}

namespace holdfast::bench {

inline constexpr int kExitPass = 0;
inline constexpr int kExitWrong = 1;
inline constexpr int kExitUsage = 2;

/// Adds the sub-command to `app`. When it was chosen, parsing runs it and sets `exit_code`, which
/// must outlive the parse. Returns `bench`, for the other kinds of load.
CLI::App& register_bench(CLI::App& app, int& exit_code);

/// Runs the chosen scenarios one after another; `on_done` gets each as it ends. Throws SetupError
/// (own_lockd.h) when the machine or the options are not fit.
[[nodiscard]] Report run_bench(const Options& options,
                               const std::function<void(const ScenarioResult&)>& on_done);

}  // namespace holdfast::bench
