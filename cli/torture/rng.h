#pragma once
/// Seeded pseudo-random numbers (splitmix64): small, fast, equal on every machine and library.

#include <cstdint>

namespace holdfast::torture {

class Rng {
 public:
  explicit Rng(std::uint64_t seed) : state_(seed) {}
  /// A stream of its own for `part` of the same run.
  Rng(std::uint64_t seed, std::uint64_t part) : state_(seed ^ (part * 0xd1342543de82ef95ULL)) {
    next();
  }
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  /// A value in [0, bound); bound > 0. The modulo's bias is of no interest here.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace holdfast::torture
