#pragma once
/// The kernel's requests from their arrival to their answer: counted by kind ("fuse.LOOKUP") and
/// timed in the mount's counters, and shown one by one in its live state; and the bytes that move.
///
/// Thread: the loop's; written() of a notification from any.

#include "fs/counters/counters.h"
#include "fs/state/state.h"
#include "holdfast/base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include <sys/uio.h>

namespace holdfast::fs {

class Requests {
 public:
  /// Both outlive this; null: nothing is counted, or shown, there.
  Requests(counters::Counters* counters, state::State* state);
  /// A request as it was read from the kernel.
  void arrived(const void* bytes, std::size_t size);
  /// What was written to the kernel, or would have been: an answer, or (then nobody asked) a
  /// notification. `written`: as writev(2) returned it.
  void answered(const iovec* parts, int count, ssize_t written);

 private:
  static constexpr std::size_t kOpcodes = 64;
  struct Open {
    std::uint32_t opcode = 0;
    Instant since;
    state::RequestCell* shown = nullptr;
  };

  state::State* state_;
  std::array<counters::Counter, kOpcodes> counts_;
  std::array<counters::Timing, kOpcodes> timings_;
  std::unordered_map<std::uint64_t, Open> open_;  // by the kernel's number
  counters::Gauge under_way_;
  counters::Counter others_;
  counters::Counter bytes_in_;
  counters::Counter bytes_out_;
};

}  // namespace holdfast::fs
