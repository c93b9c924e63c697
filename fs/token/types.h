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
  /// Part of an operation that has pinned the file already, or of giving the token up: admitted as
  /// long as the token is held. Leaves nothing in the kernel.
  kWithin,
};

/// What happens to the kernel's pages before drained().
enum class DropPages : std::uint8_t {
  kEnded,
  /// In the last round: who has pages locked waits for the next token, so nobody waits for the
  /// pages. The kernel's attributes are dropped, and until the pages are, nobody reads on the
  /// strength of them.
  kBegun,
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
  DropPages pages = DropPages::kEnded;
};
/// acquire() succeeded: the operation may go on under `mode`, until unpin().
struct TokenPinned {
  CallId call;
  TokenMode mode = TokenMode::kNone;
};

/// acquire() failed: the token that the operation had pinned was lost. To wait for the next one
/// under that pin could be for ever: another mount may wait for the pin.
struct TokenRefused {
  CallId call;
};

}  // namespace holdfast::fs
