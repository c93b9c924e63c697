#pragma once
/// One mount from start to end: storage, volume, lockd, filesystem; then serving; then the same
/// backwards.

#include "cli/mount/report.h"
#include "cli/mount/settings.h"

namespace holdfast::cli {

/// Returns the exit code when the mount has ended or could not begin. `reporter` is told once.
/// Threads are started here: not before a fork.
[[nodiscard]] int live(const MountSettings& settings, Reporter& reporter);

}  // namespace holdfast::cli
