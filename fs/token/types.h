#pragma once
/// Words between the mount's shell and its token agent (docs/tokens.md).

#include "holdfast/base/id.h"
#include "holdfast/lock/types.h"

#include <cstdint>

namespace holdfast::fs {

/// A call of the shell: a lock request, or an acquire of a token.
using CallId = Id<struct CallIdTag>;

/// Whether an operation may wait for the next token while one is being given up.
enum class Urgency : std::uint8_t {
  kMayWait,
  /// READ, WRITE, LOOKUP, READDIR, GETATTR, FLUSH: the kernel holds pages or a directory locked,
  /// and giving up waits for it to drop those (T10).
  kKernelWaits,
};

// Effects, to be performed in their order.

/// The token of `file` is to be given up as far as `keep`: write to stable storage whatever is
/// unwritten; unless `keep` is PR, also drop data, attributes, names and absent names, the
/// kernel's too. Then call drained(). A later Drain of the same file voids an earlier one; a lost
/// token voids them all. Urgent operations still come in between; they make a further round
/// necessary.
struct Drain {
  FileKey file;
  TokenMode keep = TokenMode::kNone;
  std::uint64_t round = 0;
};
/// acquire() succeeded: the operation may go on under `mode`, until unpin().
struct TokenPinned {
  CallId call;
  TokenMode mode = TokenMode::kNone;
};

}  // namespace holdfast::fs
