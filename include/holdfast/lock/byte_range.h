#pragma once
/// A byte range [start, end) of a file, never empty, within [0, 2^63].
///
/// fcntl's l_whence, l_len == 0 and negative lengths are resolved once, at the FUSE edge; nothing
/// inside sees them. Source: POSIX.1-2017 fcntl(); the kernel's OFFSET_MAX (2^63 - 1) is the last
/// lockable byte.

#include <compare>
#include <cstdint>
#include <optional>

namespace holdfast {

class ByteRange {
 public:
  /// One past the last lockable byte: "to the end of the file, however it grows".
  static constexpr std::uint64_t kEnd = std::uint64_t{1} << 63;

  /// Nothing if the range would be empty, inverted or beyond kEnd.
  [[nodiscard]] static constexpr std::optional<ByteRange> make(std::uint64_t start,
                                                               std::uint64_t end) {
    if (start >= end || end > kEnd) return std::nullopt;
    return ByteRange(start, end);
  }
  [[nodiscard]] static constexpr ByteRange whole_file() { return ByteRange(0, kEnd); }

  [[nodiscard]] constexpr std::uint64_t start() const { return start_; }
  [[nodiscard]] constexpr std::uint64_t end() const { return end_; }
  [[nodiscard]] constexpr bool overlaps(const ByteRange& other) const {
    return start_ < other.end_ && other.start_ < end_;
  }
  [[nodiscard]] constexpr bool contains(const ByteRange& other) const {
    return start_ <= other.start_ && other.end_ <= end_;
  }
  friend constexpr auto operator<=>(const ByteRange&, const ByteRange&) = default;

 private:
  constexpr ByteRange(std::uint64_t start, std::uint64_t end) : start_(start), end_(end) {}
  std::uint64_t start_;
  std::uint64_t end_;
};

}  // namespace holdfast
