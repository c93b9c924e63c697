#include "fs/backend/nfs3/rpc/reader.h"

namespace holdfast::fs::nfs3::rpc {

std::uint32_t Reader::u32() {
  if (rest_.size() < 4) {
    fail();
    return 0;
  }
  const std::uint32_t value = std::uint32_t{rest_[0]} << 24 | std::uint32_t{rest_[1]} << 16 |
                              std::uint32_t{rest_[2]} << 8 | std::uint32_t{rest_[3]};
  rest_ = rest_.subspan(4);
  return value;
}

std::uint64_t Reader::u64() {
  const std::uint64_t high = u32();
  return high << 32 | u32();
}

bool Reader::boolean() {
  const std::uint32_t value = u32();
  if (value > 1) fail();
  return value == 1;
}

std::span<const std::uint8_t> Reader::opaque(std::size_t size) {
  // size + 3 cannot wrap: it is compared with a real size first.
  if (size > rest_.size() || ((size + 3) & ~std::size_t{3}) > rest_.size()) {
    fail();
    return {};
  }
  const auto value = rest_.first(size);
  rest_ = rest_.subspan((size + 3) & ~std::size_t{3});
  return value;
}

std::span<const std::uint8_t> Reader::bytes(std::size_t size_max) {
  const std::uint32_t size = u32();
  if (size > size_max) {
    fail();
    return {};
  }
  return opaque(size);
}

std::string Reader::string(std::size_t size_max) {
  const auto value = bytes(size_max);
  return {value.begin(), value.end()};
}

}  // namespace holdfast::fs::nfs3::rpc
