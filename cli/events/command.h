#pragma once
/// holdfast events: tells pods of this node that wait for a lock who has it, as Events of
/// Kubernetes (docs/adr/0023-events-from-the-side.md).

#include "cli/events/watch.h"

#include <iosfwd>

namespace CLI {
class App;
}

namespace holdfast::cli {

// Exit codes, documented in --help.
inline constexpr int kEventsOk = 0;
inline constexpr int kEventsNoKubernetes = 1;
inline constexpr int kEventsUsage = 2;

/// Returns at SIGTERM or SIGINT.
[[nodiscard]] int run_events(EventsOptions options, std::ostream& errors);
void register_events(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
