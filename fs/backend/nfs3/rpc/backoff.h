#pragma once
/// Waiting times between attempts: doubling from `first` to `most`, each shortened by up to half by
/// chance, so that many clients do not return to a restarted server at one instant. Pure: chance is
/// passed in.

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace holdfast::fs::nfs3::rpc {

class Backoff {
 public:
  using Wait = std::chrono::milliseconds;
  static constexpr Wait kFirst{100};
  static constexpr Wait kMost{5000};

  /// `chance`: any 32 random bits. The result is in [w/2, w] for the step's w.
  [[nodiscard]] Wait next(std::uint32_t chance) {
    const Wait full = next_;
    next_ = std::min(next_ * 2, kMost);
    const auto half = static_cast<std::uint64_t>(full.count() / 2);
    return full - Wait(static_cast<Wait::rep>(half * chance / 0xffffffffU));
  }
  void reset() { next_ = kFirst; }

 private:
  Wait next_ = kFirst;
};

}  // namespace holdfast::fs::nfs3::rpc
