#pragma once
/// How long single operations took: a histogram of fixed size, so that processes can share it.
/// Percentiles are right to 1.6 %. Pure.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::bench::fs {

class Latencies {
 public:
  void add(std::chrono::nanoseconds time);
  void add(const Latencies& more);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// In microseconds, as the next; 0 without any operation. `share`: 0.5 = median.
  [[nodiscard]] double percentile(double share) const;
  [[nodiscard]] double longest() const { return static_cast<double>(longest_) / 1e3; }

 private:
  static constexpr unsigned kSteps = 64;    // in each doubling
  static constexpr unsigned kOctaves = 42;  // up to 2^48 ns = 78 h
  static std::size_t bucket(std::uint64_t ns);

  std::array<std::uint64_t, std::size_t{kSteps} * (kOctaves + 1)> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t longest_ = 0;
};

}  // namespace holdfast::bench::fs
