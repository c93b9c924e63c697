#pragma once
/// The memory in which one mount's counters lie (ADR 14). Written by the mount, read by any program
/// of the same machine, also while the mount hangs: no lock, no pointer, fixed size.

#include "fs/published/file.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::fs::counters {

inline constexpr std::size_t kCountersMax = 1023;
// Cells that count nothing: the state of something ("g.lease.deadline_ns", a number that goes up
// and down), and histograms, a cell for each bucket ("t.nfs.READ.07", "t.nfs.READ.us").
inline constexpr std::string_view kGauge = "g.";
inline constexpr std::string_view kTiming = "t.";
inline constexpr std::string_view kTimingSum = ".us";  ///< microseconds

struct Cell {
  std::array<char, 24> name{};  ///< "nfs.LOOKUP"; ends with a zero byte
  std::atomic<std::uint64_t> value = 0;
};

struct Page {
  published::Head head;
  std::atomic<std::uint32_t> used = 0;  ///< cells; a cell's name stands before it is counted here
  std::array<char, 12> reserved{};
  std::array<Cell, kCountersMax> cells{};
};

static_assert(sizeof(Cell) == 32 && sizeof(Page) == 32 * 1024,
              "the layout is a promise to readers");
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

inline constexpr published::Kind kKind{
    .name = "counters", .magic = "HFCOUNT", .version = 2, .size = sizeof(Page)};

}  // namespace holdfast::fs::counters
