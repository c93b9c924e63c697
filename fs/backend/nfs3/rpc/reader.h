#pragma once
/// Bounded XDR decoding (RFC 4506) of what a server sent. Pure.
///
/// Every count is checked against the bytes that are there, so no reply can make us read past it or
/// allocate more than its own size. libnfs's decoders are not used on replies: in 4.0 zdr_opaque
/// has no bounds check and zdr_array trusts the server's count.
///
/// After the first failure `ok()` is false for ever and every value read is zero or empty: decode a
/// whole structure, then ask once.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace holdfast::fs::nfs3::rpc {

class Reader {
 public:
  explicit Reader(std::span<const std::uint8_t> bytes) : rest_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t remaining() const { return rest_.size(); }
  /// Marks the input as malformed, for rules above XDR.
  void fail() {
    ok_ = false;
    rest_ = {};
  }

  std::uint32_t u32();
  std::uint64_t u64();
  /// XDR bool; anything but 0 and 1 is malformed.
  bool boolean();
  /// `size` bytes and their padding.
  std::span<const std::uint8_t> opaque(std::size_t size);
  /// A counted opaque of at most `size_max` bytes.
  std::span<const std::uint8_t> bytes(std::size_t size_max);
  std::string string(std::size_t size_max);

 private:
  std::span<const std::uint8_t> rest_;
  bool ok_ = true;
};

}  // namespace holdfast::fs::nfs3::rpc
