#pragma once
/// Which session owns which database's wal-index.
///
/// SQLite shares its wal-index (`-shm`) by mmap, which is coherent within one mount only. So one
/// session owns it, and the others are refused at the database's own lock bytes, where SQLite's
/// busy handler works (docs/locks.md, "WAL"). Files are tied to a database while it is owned: their
/// locks keep the ownership alive.

#include "lockd/core/lock_objects.h"

#include <map>
#include <set>

namespace holdfast::lockd {

/// PENDING, RESERVED and SHARED of a SQLite database (os_unix.c: PENDING_BYTE, RESERVED_BYTE,
/// SHARED_FIRST, SHARED_SIZE).
inline constexpr ByteRange kDatabaseLockBytes =
    *ByteRange::make(0x4000'0000, 0x4000'0000 + std::uint64_t{512});

class WalOwners {
 public:
  struct Ownership {
    SessionLocks* session = nullptr;
    Instant since;
    std::set<FileId> tied;
    bool under_token = false;  ///< its session has EX of the database, and its locks are not known
  };

  [[nodiscard]] bool empty() const { return owned_.empty(); }
  [[nodiscard]] const Ownership* find(const FileId& database) const;
  /// Another session owns it.
  [[nodiscard]] bool elsewhere(const FileId& database, const SessionLocks& asking) const;
  /// The database that `file` is tied to, or null.
  [[nodiscard]] const FileId* tied_to(const FileId& file) const;

  /// Nobody else owns `database`. False if the session owned it already.
  bool claim(const FileId& database, SessionLocks& session, Instant now);
  /// `session` owns `database`, and `file` is tied to no other.
  void tie(const FileId& file, const FileId& database);
  /// Of an owned one.
  void set_under_token(const FileId& database, bool yes);
  void end(const FileId& database);

  [[nodiscard]] const std::map<FileId, Ownership>& all() const { return owned_; }

 private:
  std::map<FileId, Ownership> owned_;
  std::map<FileId, FileId> tied_;
};

}  // namespace holdfast::lockd
