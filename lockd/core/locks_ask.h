#pragma once
/// Inner to locks*.cc: one lock asked for, by a new request or by a waiter whose turn may have
/// come.

#include "lockd/core/locks.h"

namespace holdfast::lockd {

struct Locks::Ask {
  SessionLocks& session;
  Agent& agent;
  FileSpace& space;
  ByteRange range;
  LockMode mode;
  OwnerKind kind;
  HandleId handle;
  std::uint32_t pid;
  std::optional<FileKey> wal_database;
};

}  // namespace holdfast::lockd
