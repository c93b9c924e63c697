#pragma once
/// Keys of locks that no application asked for: derived from a file's key, so that every mount
/// derives the same. Pure.

#include "holdfast/lock/types.h"

#include <cstdint>

namespace holdfast::fs {

enum class DerivedKey : std::uint64_t {
  kWalIndex = 0x9ae16a3b2f90404fULL,  ///< locks of NAME-shm, derived from NAME
  kAppend = 0xc949d7c7509e6557ULL,    ///< one O_APPEND write at a time
  kLife = 0xff51afd7ed558ccdULL,      ///< a mount's life; fileid 0, the life as hash
};

/// Distinct tags give distinct keys for one file. A file whose handle hash differs from this one's
/// by exactly a tag would share locks with it: as likely as a 64-bit hash collision, and harmless
/// (a wait, never a lost lock).
[[nodiscard]] constexpr FileKey derive(FileKey file, DerivedKey tag) {
  return {file.fileid, file.handle_hash ^ static_cast<std::uint64_t>(tag)};
}

}  // namespace holdfast::fs
