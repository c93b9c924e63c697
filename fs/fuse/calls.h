#pragma once
/// What operations are asked for, converted at the edge. Plain values.

#include "fs/fuse/inode.h"
#include "holdfast/lock/byte_range.h"
#include "holdfast/lock/types.h"

#include <cstdint>

#include <sys/types.h>

namespace holdfast::fs {

/// A lock request.
struct LockCall {
  LockSpace space = LockSpace::kRange;
  OwnerId owner;
  HandleId handle;
  LockMode mode = LockMode::kShared;
  ByteRange range = ByteRange::whole_file();
  Wait wait = Wait::kNo;
  std::uint32_t pid = 0;  ///< the process, for people
  pid_t tid = 0;          ///< the thread that waits
};

struct WriteCall {
  NodeId node;
  HandleId handle;
  std::uint64_t offset = 0;
  bool append = false;
  pid_t tid = 0;  ///< the thread that writes; 0 = the kernel, a page of a mapping
};

/// Whose change it is, to be ended if that relied on a lock that is lost.
struct ChangeOf {
  NodeId node;
  InodePointer inode{};  ///< if the kernel may have forgotten the node
  pid_t tid = 0;         ///< the calling thread; 0 = the kernel, or nobody waits
};

/// Lookups that the kernel gives back.
struct Forgotten {
  NodeId node;
  std::uint64_t count = 0;
};

}  // namespace holdfast::fs
