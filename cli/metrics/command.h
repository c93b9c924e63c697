#pragma once
/// holdfast metrics: what all mounts of this machine count, for Prometheus. Printed once (for the
/// textfile collector of node_exporter), or served.

#include "cli/metrics/mounts.h"

#include <iosfwd>

namespace CLI {
class App;
}

namespace holdfast::cli {

// Exit codes, documented in --help.
inline constexpr int kMetricsOk = 0;
inline constexpr int kMetricsCannotListen = 1;
inline constexpr int kMetricsUsage = 2;

[[nodiscard]] int run_metrics(MetricsOptions options, std::ostream& out, std::ostream& errors);
void register_metrics(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
