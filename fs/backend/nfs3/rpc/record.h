#pragma once
/// Record marking (RFC 5531 section 11): finds the records in a TCP stream. Pure: the caller reads
/// into space().
///
/// A record that fits the staging buffer is copied out of it; a larger one gets its own memory at
/// once and the socket reads straight into that, so a 1 MiB READ reply is received without a copy.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace holdfast::fs::nfs3::rpc {

/// The bytes of one record, without its marks.
class Record {
 public:
  Record() = default;
  explicit Record(std::size_t size)
      : bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(size)), size_(size) {}
  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return {bytes_.get(), size_}; }
  [[nodiscard]] std::span<std::uint8_t> bytes() { return {bytes_.get(), size_}; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Makes room for `more` bytes at the end; keeps what is there.
  void grow(std::size_t more);

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_ = 0;
};

class RecordParser {
 public:
  /// A reply carries at most 1 MiB of data (Options clamp) and its head; more is not NFS.
  static constexpr std::size_t kRecordMax = (1U << 20) + (64U << 10);
  /// No server we know sends more than two; without a limit empty fragments would go on for ever.
  static constexpr unsigned kFragmentsMax = 64;

  /// Where the next bytes of the stream go; never empty.
  [[nodiscard]] std::span<std::uint8_t> space();
  /// `size` bytes were put into space(). False = the stream is not record marked; drop the
  /// connection.
  [[nodiscard]] bool commit(std::size_t size);
  /// The next complete record, if there is one. Take all before the next space().
  [[nodiscard]] std::optional<Record> take();

 private:
  [[nodiscard]] bool parse();
  [[nodiscard]] bool begin_fragment(std::uint32_t mark);

  std::vector<std::uint8_t> staging_ = std::vector<std::uint8_t>(16U << 10);
  std::size_t staged_ = 0;    // bytes in staging_ not yet consumed start at 0
  Record current_;            // the record being received
  std::size_t filled_ = 0;    // bytes of current_ that arrived
  unsigned fragments_ = 0;    // of current_, so far
  bool in_fragment_ = false;  // current_ still lacks bytes of its fragment
  bool last_fragment_ = false;
  std::vector<Record> complete_;
  std::size_t taken_ = 0;
};

}  // namespace holdfast::fs::nfs3::rpc
