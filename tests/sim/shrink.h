#pragma once
/// Makes a failing run small: fewer faults, less of everything, as long as the same oracle fails.

#include "tests/sim/cluster.h"

namespace holdfast::sim {

/// Runs a scenario; a failed assertion of the cores is a violation like others.
[[nodiscard]] Result run_scenario(const Scenario& scenario, bool tracing);
/// `oracle`: what failed.
[[nodiscard]] Scenario shrink(Scenario scenario, const Violation& violation);
[[nodiscard]] std::string describe(const Scenario& scenario);

}  // namespace holdfast::sim
