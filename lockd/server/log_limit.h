#pragma once
/// At most so many log lines a second of a kind that strangers on the network can cause.

#include <chrono>
#include <cstdint>

namespace holdfast::lockd {

class LogLimit {
 public:
  static constexpr std::uint32_t kLinesPerSecond = 10;

  /// True if the line may be written.
  [[nodiscard]] bool allow() {
    const auto now = std::chrono::steady_clock::now();
    if (now - since_ >= std::chrono::seconds(1)) {
      since_ = now;
      written_ = 0;
    }
    if (written_ == kLinesPerSecond) {
      ++dropped_;
      return false;
    }
    ++written_;
    return true;
  }
  /// Lines not written so far, for the next one that is.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  std::chrono::steady_clock::time_point since_{};
  std::uint32_t written_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace holdfast::lockd
