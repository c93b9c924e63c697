#pragma once
/// May an operation wait for a token?

#include <cstdint>

namespace holdfast::fs {

enum class Urgency : std::uint8_t {
  kMayWait,
  /// The kernel holds a page or a directory locked for it (READ, WRITE, LOOKUP, READDIR, GETATTR,
  /// FLUSH), and giving a token up waits for the kernel: admitted also while the token is being
  /// given up (docs/tokens.md, T10).
  kKernelWaits,
};

}  // namespace holdfast::fs
