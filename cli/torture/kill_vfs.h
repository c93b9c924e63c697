#pragma once
/// A SQLite VFS over the default one that kills its own process at the n-th change of the storage:
/// the way to die at every single step of a commit, replayable from a seed.

#include <cstdint>

namespace holdfast::torture {

inline constexpr const char* kKillVfs = "holdfast-kill";

/// Registers the VFS in this process. WAL is not available through it (no shared memory).
void register_kill_vfs();
/// The process dies just before the `n`-th write, truncate, sync or delete from now; 0 = never.
void kill_at(std::uint64_t n);
/// Changes of the storage since the last kill_at.
[[nodiscard]] std::uint64_t changes();

}  // namespace holdfast::torture
