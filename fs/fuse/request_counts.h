#pragma once
/// Counts the kernel's requests by kind ("fuse.LOOKUP"), how long each took until it was answered,
/// and the bytes that move with them.
///
/// Thread: the loop's; written() of a notification from any.

#include "fs/counters/counters.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include <sys/uio.h>

namespace holdfast::fs {

class RequestCounts {
 public:
  /// `counters` outlives this; null: nothing is counted.
  explicit RequestCounts(counters::Counters* counters);
  /// A request as it was read from the kernel.
  void request(const void* bytes, std::size_t size);
  /// What was written to the kernel: an answer, or (then nobody asked) a notification.
  void written(const iovec* parts, std::size_t size);

 private:
  static constexpr std::size_t kOpcodes = 64;
  struct Begun {
    std::uint32_t opcode = 0;
    std::chrono::steady_clock::time_point at;
  };
  void answered(std::uint64_t unique);

  std::array<counters::Counter, kOpcodes> requests_;
  std::array<counters::Timing, kOpcodes> timings_;
  std::unordered_map<std::uint64_t, Begun> unanswered_;  // by the kernel's number
  counters::Gauge under_way_;
  counters::Counter others_;
  counters::Counter bytes_in_;
  counters::Counter bytes_out_;
};

}  // namespace holdfast::fs
