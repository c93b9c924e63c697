#pragma once
/// Counts the kernel's requests by kind ("fuse.LOOKUP") and the bytes that move with them.
///
/// Thread: the loop's; answer() from any.

#include "fs/counters/counters.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace holdfast::fs {

class RequestCounts {
 public:
  /// `counters` outlives this; null: nothing is counted.
  explicit RequestCounts(counters::Counters* counters);
  /// A request as it was read from the kernel.
  void request(const void* bytes, std::size_t size);
  /// An answer of that many bytes, its head included.
  void answer(std::size_t size) { bytes_out_.add(size); }

 private:
  static constexpr std::size_t kOpcodes = 64;
  std::array<counters::Counter, kOpcodes> requests_;
  counters::Counter others_;
  counters::Counter bytes_in_;
  counters::Counter bytes_out_;
};

}  // namespace holdfast::fs
