#pragma once
/// The one source of chance of a run: the same seed gives the same run on any machine.

#include "holdfast/base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace holdfast::sim {

/// xoshiro256** by Blackman and Vigna (public domain), seeded by splitmix64. The standard library's
/// distributions differ between implementations, so they are not used.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) {
    for (auto& word : state_) {
      seed += 0x9e3779b97f4a7c15ULL;
      std::uint64_t z = seed;
      z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
      z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
      word = z ^ (z >> 31U);
    }
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }
  /// In [0, n); n > 0.
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  std::size_t index(std::size_t n) { return static_cast<std::size_t>(below(n)); }
  bool chance(double p) { return static_cast<double>(next() >> 11U) * 0x1.0p-53 < p; }
  double real(double from, double to) {
    return from + (to - from) * static_cast<double>(next() >> 11U) * 0x1.0p-53;
  }
  Duration between(Duration from, Duration to) {
    if (to <= from) return from;
    return from + Duration(static_cast<std::int64_t>(
                      below(static_cast<std::uint64_t>((to - from).count()) + 1)));
  }
  Duration up_to(Duration to) { return between(Duration::zero(), to); }
  template <class T>
  T pick(std::initializer_list<T> values) {
    return *(values.begin() + index(values.size()));
  }

 private:
  static std::uint64_t rotate(std::uint64_t x, unsigned k) { return (x << k) | (x >> (64U - k)); }
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace holdfast::sim
