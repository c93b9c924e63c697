#pragma once
/// Words of the lock protocol as plain values (docs/glossary.md).

#include "holdfast/base/id.h"

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace holdfast {

/// A mount's life at lockd. Chosen by lockd, unique over lockd's life and, with the epoch, over
/// restarts.
using SessionId = Id<struct SessionIdTag>;
/// Proves that whoever resumes a session opened it. Random, never logged.
using SessionSecret = std::array<std::uint8_t, 16>;
/// lockd's life: grows with each start that lost its memory (restart, fail-over).
using Epoch = Id<struct EpochTag>;
/// Numbers requests within a session, from 1, growing by one.
using RequestNumber = Id<struct RequestNumberTag>;
/// Grows with every grant of a file.
using FencingToken = Id<struct FencingTokenTag>;
/// Lock owner within a session, as the kernel names it: the process's file table (POSIX) or the
/// open file description (OFD, flock). The kernel reuses values quickly.
using OwnerId = Id<struct OwnerIdTag>;
/// An open handle of a mount (one open file description). Never reused within a session.
using HandleId = Id<struct HandleIdTag>;

/// Numbers the losses of a session, growing.
using LossNumber = Id<struct LossNumberTag>;

/// A waiting lock's place among all waiters. Comparable over lives of lockd: who waited in an
/// earlier life comes first.
struct QueuePlace {
  Epoch epoch;
  std::uint64_t seq = 0;
  friend constexpr auto operator<=>(const QueuePlace&, const QueuePlace&) = default;
};

/// A volume's identity: the UUID in the marker file at the export's root.
using VolumeId = std::array<std::uint8_t, 16>;

/// A file, within a volume, as all mounts see it: NFS fileid, and a hash of the file handle against
/// fileid reuse.
struct FileKey {
  std::uint64_t fileid = 0;
  std::uint64_t handle_hash = 0;
  friend constexpr auto operator<=>(const FileKey&, const FileKey&) = default;
};

enum class LockMode : std::uint8_t { kShared, kExclusive };

/// POSIX and OFD locks conflict with each other; flock locks live in a space of their own
/// (fcntl(2), flock(2)).
enum class LockSpace : std::uint8_t { kRange, kFlock };

/// Who owns a lock, as far as the mount can tell. Only kPosix owners take part in deadlock
/// detection (as in Linux): FUSE does not mark OFD requests, so whatever is not surely POSIX is
/// kUnchecked: a missed EDEADLK, never a false one. kGivesWay: as kUnchecked, but it is
/// refused with kWouldBlock when anybody waits for what its owner holds.
enum class OwnerKind : std::uint8_t { kPosix, kUnchecked, kGivesWay };

enum class Wait : std::uint8_t { kNo, kYes };

/// What a session may do with a file (docs/tokens.md): the modes of a distributed lock manager.
enum class TokenMode : std::uint8_t {
  kNone,       ///< NL: nothing
  kRead,       ///< PR: read, and keep what was read; shared locks are decided by the mount
  kShared,     ///< CW: read and write through, keep nothing; locks are decided by lockd
  kExclusive,  ///< EX: everything: keep, write behind, decide all locks
};

/// May two sessions hold these modes of one file at the same time?
[[nodiscard]] constexpr bool compatible(TokenMode one, TokenMode other) {
  if (one == TokenMode::kNone || other == TokenMode::kNone) return true;
  return one == other && one != TokenMode::kExclusive;
}

/// The whole volume, as a file that does not exist: who has its token exclusively has all files'.
inline constexpr FileKey kVolumeKey{};

}  // namespace holdfast

template <>
struct std::hash<holdfast::FileKey> {
  std::size_t operator()(const holdfast::FileKey& key) const noexcept {
    // fileids are small and dense, handle_hash is already a hash: mix so that neither half
    // dominates.
    return static_cast<std::size_t>((key.fileid * 0x9e3779b97f4a7c15ULL) ^ key.handle_hash);
  }
};
