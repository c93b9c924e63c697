#pragma once
/// A SQLite VFS over the default one that misbehaves at the n-th change of the storage. For child
/// processes: it becomes the process's default VFS, and two of its faults end the process.

#include <cstdint>
#include <string>

namespace holdfast::support {

enum class StorageFault {
  kNone,
  kKill,      ///< SIGKILL just before the change: what was written stays
  kPowerCut,  ///< as kKill, but each change that was not synced may be lost, or may not
  kFull,      ///< this write and all later ones: no space
  kError,     ///< this one change: I/O error
};

struct StorageFaultAt {
  StorageFault fault = StorageFault::kNone;
  std::uint64_t n = 0;     ///< from 1, counting writes, truncates, syncs and deletes
  std::uint32_t seed = 0;  ///< which changes a power cut loses
};

/// Registers the VFS, or sets another fault; counting begins anew.
void plant_storage_fault(const StorageFaultAt& at);
/// Changes since plant_storage_fault().
[[nodiscard]] std::uint64_t storage_changes();

}  // namespace holdfast::support
