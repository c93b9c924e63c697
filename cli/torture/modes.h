#pragma once
/// The modes of the suite. Each runs for about `time`, between Arena::begin_mode and finish_mode,
/// finds what it finds, and cleans up its processes.

#include "cli/torture/arena.h"
#include "cli/torture/report.h"

#include <chrono>

namespace holdfast::torture {

/// Counters under fcntl, OFD and flock locks and in SQLite.
[[nodiscard]] ModeResult run_exclusion(Arena& arena, std::chrono::milliseconds time);
/// SQLite transfers with an invariant, in each rollback journal mode.
[[nodiscard]] ModeResult run_bank(Arena& arena, std::chrono::milliseconds time);
/// kill -9 in mid-commit, the next opener must roll back.
[[nodiscard]] ModeResult run_hotjournal(Arena& arena, std::chrono::milliseconds time);
/// A WAL database in one directory, opened through another at the same time.
[[nodiscard]] ModeResult run_wal(Arena& arena, std::chrono::milliseconds time);
/// The same random lock programs here and on a local filesystem.
[[nodiscard]] ModeResult run_semantics(Arena& arena, std::chrono::milliseconds time);

/// Changes through one directory, looks through another.
[[nodiscard]] ModeResult run_coherence(Arena& arena, std::chrono::milliseconds time);

}  // namespace holdfast::torture
