#pragma once
/// The history of a run: who held which lock when, and what was acknowledged. And its judges.
///
/// Pure: no I/O, no clock. Times are CLOCK_MONOTONIC of one host; records of several hosts must
/// not be mixed (their clocks have nothing to do with each other).

#include "cli/torture/report.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace holdfast::torture {

enum class Event : std::uint8_t {
  kWant = 1,       ///< about to ask for the lock
  kGranted = 2,    ///< the lock call has returned success
  kIntent = 3,     ///< about to do what may or may not take effect (value = what)
  kUnlocking = 4,  ///< still holding, about to unlock
  kAcked = 5,      ///< the effect is promised (value = what)
  kGaveUp = 6,     ///< an error ended the hold at an unknown time: it is not judged
};
enum class Access : std::uint8_t { kShared = 1, kExclusive = 2 };

/// One line of history. Written by one write(2), so it survives the death of its writer.
struct Record {
  std::uint64_t ns = 0;
  std::uint64_t value = 0;
  std::uint32_t worker = 0;    ///< unique per process of the run, never reused
  std::uint16_t resource = 0;  ///< index of the lock
  Event event = Event::kWant;
  Access access = Access::kExclusive;
};
static_assert(sizeof(Record) == 24);

[[nodiscard]] std::string describe(const Record& record);

/// Finds holders whose conflicting locks overlap in time. A hold lasts from kGranted to
/// kUnlocking, or, if its worker was killed, to that worker's last record: both ends were
/// observed while holding, so an overlap found is real.
///
/// `history` holds, per worker, its records in the order written; workers may be interleaved.
[[nodiscard]] std::vector<Violation> find_overlaps(std::span<const Record> history,
                                                   std::span<const std::string> resource_names);

/// Judges one counter: acknowledged <= final <= acknowledged + unknown, no value acknowledged
/// twice, none above the final one. Every increment logged kIntent(value) then kAcked(value).
[[nodiscard]] std::vector<Violation> judge_counter(std::span<const Record> history,
                                                   std::uint16_t resource, const std::string& name,
                                                   std::uint64_t initial, std::uint64_t final);

/// Judges a ledger: every acknowledged id present exactly once, every other at most once and only
/// if some worker intended it.
[[nodiscard]] std::vector<Violation> judge_ledger(std::span<const Record> history,
                                                  std::span<const std::uint64_t> present,
                                                  const std::string& where);

}  // namespace holdfast::torture
