#pragma once
/// `holdfast torture DIR [DIR …]`: judges whether a directory, seen through one or more mounts,
/// keeps the promises that SQLite and other users of file locks rely on. Works on any filesystem.

#include "cli/torture/options.h"
#include "cli/torture/report.h"

namespace CLI {
class App;
}

namespace holdfast::torture {

inline constexpr int kExitPass = 0;
inline constexpr int kExitViolation = 1;
inline constexpr int kExitUsage = 2;

/// Adds the sub-command to `app`. When it was chosen, parsing runs it and sets `exit_code`, which
/// must outlive the parse. The process must have no threads yet: workers are forked.
void register_torture(CLI::App& app, int& exit_code);

/// Runs all chosen modes. Throws SetupError when the directories or the machine are not fit.
[[nodiscard]] RunReport run_torture(const Options& options);

}  // namespace holdfast::torture
