#pragma once
/// Bytes that all writers of one mount may keep in memory, and a count of what was unusual.
///
/// Thread: the loop.

#include <cstdint>

namespace holdfast::fs {

struct WriteBudget {
  std::uint64_t uncommitted_bytes_max = 64ULL << 20;
  std::uint64_t uncommitted_bytes = 0;  ///< not yet sent, or sent and not yet committed
  std::uint64_t budget_reached = 0;     ///< writes that had to commit first
  std::uint64_t flushed = 0;            ///< WRITEs answered of what waited in memory
  std::uint64_t resent_bytes = 0;       ///< sent again after a server restart or a failed commit

  [[nodiscard]] bool fits(std::uint64_t bytes) const {
    return uncommitted_bytes + bytes <= uncommitted_bytes_max;
  }
};

}  // namespace holdfast::fs
