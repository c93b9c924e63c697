#pragma once
/// What mounts count, as metrics. docs/metrics.md tells what each means and what to do.
///
/// Thread: any.

#include "cli/metrics/mounts.h"
#include "holdfast/base/clock.h"

#include <string>
#include <vector>

namespace holdfast::cli {

/// Every family is there always, also without a mount.
[[nodiscard]] std::string mounts_as_metrics(const std::vector<KnownMount>& mounts, Instant now);

}  // namespace holdfast::cli
