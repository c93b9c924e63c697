#pragma once
/// At most so many log lines a second of a kind that others on the network can cause: writing them
/// costs more than causing them.

#include <chrono>
#include <cstdint>

namespace holdfast::lockd {

class LogLimit {
 public:
  explicit LogLimit(std::uint32_t lines_per_second = 10) : lines_per_second_(lines_per_second) {}

  /// True if the line may be written.
  [[nodiscard]] bool allow() {
    const auto now = std::chrono::steady_clock::now();
    if (now - since_ >= std::chrono::seconds(1)) {
      since_ = now;
      written_ = 0;
    }
    if (written_ == lines_per_second_) {
      ++dropped_;
      return false;
    }
    ++written_;
    return true;
  }
  /// Lines not written so far, for the next one that is.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  std::uint32_t lines_per_second_;
  std::chrono::steady_clock::time_point since_{};
  std::uint32_t written_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace holdfast::lockd
