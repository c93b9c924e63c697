#pragma once
/// How often something took how long: what metrics call a histogram. Plain data, and the same
/// bounds everywhere, so that whoever counts and whoever reads need agree on nothing else.
///
/// Thread: one owner.

#include "holdfast/base/clock.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast {

struct Histogram {
  /// From what a loop does in one step to what a person notices; a bucket has what took at most
  /// its bound, and one more has the rest.
  static constexpr std::array<std::chrono::microseconds, 12> kBounds{
      std::chrono::microseconds(20),        std::chrono::microseconds(100),
      std::chrono::microseconds(500),       std::chrono::microseconds(1'000),
      std::chrono::microseconds(5'000),     std::chrono::microseconds(10'000),
      std::chrono::microseconds(50'000),    std::chrono::microseconds(100'000),
      std::chrono::microseconds(500'000),   std::chrono::microseconds(1'000'000),
      std::chrono::microseconds(5'000'000), std::chrono::microseconds(30'000'000)};
  static constexpr std::size_t kBuckets = kBounds.size() + 1;

  [[nodiscard]] static constexpr std::size_t bucket_of(Duration took) {
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && took > kBounds[bucket])
      ++bucket;
    return bucket;
  }
  void add(Duration took) {
    ++buckets[bucket_of(took)];
    sum += took;
  }
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t all = 0;
    for (const std::uint64_t one : buckets)
      all += one;
    return all;
  }

  std::array<std::uint64_t, kBuckets> buckets{};  ///< not cumulative
  Duration sum{0};
};

}  // namespace holdfast
