#pragma once
/// What a mount knows better than the storage about a range of a file, to be laid over the answer
/// of a READ. Pure.
///
/// Bytes added later lie over those added before.

#include <cstdint>
#include <span>
#include <vector>

namespace holdfast::fs {

class LocalBytes {
 public:
  /// For a READ of [start, end).
  LocalBytes(std::uint64_t start, std::uint64_t end) : start_(start), end_(end) {}

  [[nodiscard]] std::uint64_t start() const { return start_; }
  [[nodiscard]] std::uint64_t end() const { return end_; }
  void add(std::uint64_t offset, std::span<const std::uint8_t> data);
  /// The file reaches at least to `size`, whatever the storage says.
  void reaches(std::uint64_t size);
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// The file ends at `size` now: forgets what lay beyond.
  void cut(std::uint64_t size);
  /// `data`: the storage's answer, from start() on; short at what it takes for the file's end.
  /// Grows as far as the file reaches, with zeros where nobody wrote.
  void lay_over(std::vector<std::uint8_t>& data) const;

 private:
  struct Piece {
    std::uint64_t offset = 0;
    std::vector<std::uint8_t> data;
  };
  std::uint64_t start_;
  std::uint64_t end_;
  std::uint64_t size_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace holdfast::fs
