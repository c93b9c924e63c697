#include "holdfast/wire/frame.h"

#include "holdfast/base/assert.h"
#include "holdfast/wire/errc.h"

#include <algorithm>
#include <cstdint>

namespace holdfast::wire {
namespace {

// Small, because a coordinator holds one buffer for each of thousands of mostly silent connections;
// growing, because a busy one saves system calls.
constexpr std::size_t kFirstSize = 4096;
constexpr std::size_t kBusySize = std::size_t{64} << 10;

std::uint32_t read_length(std::span<const std::byte> header) {
  std::uint32_t length = 0;
  for (const std::byte byte : header.first(kFrameHeaderSize)) {
    length = (length << 8) | std::to_integer<std::uint32_t>(byte);
  }
  return length;
}

}  // namespace

std::span<std::byte> FrameBuffer::prepare() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (bytes_.size() > kBusySize) {  // one large frame must not keep its memory for ever
      bytes_.resize(kBusySize);
      bytes_.shrink_to_fit();
    }
  }
  if (end_ == bytes_.size() && begin_ > 0) {
    std::copy(bytes_.begin() + static_cast<std::ptrdiff_t>(begin_),
              bytes_.begin() + static_cast<std::ptrdiff_t>(end_), bytes_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == bytes_.size()) bytes_.resize(std::max(kFirstSize, bytes_.size() * 2));
  return std::span(bytes_).subspan(end_);
}

void FrameBuffer::commit(std::size_t bytes) {
  HOLDFAST_ASSERT(bytes <= bytes_.size() - end_, "more bytes than there was room for");
  end_ += bytes;
  // A read that filled the room: more is waiting, read more at once next time.
  if (end_ == bytes_.size() && bytes_.size() < kBusySize) bytes_.resize(bytes_.size() * 2);
}

Result<std::optional<std::span<const std::byte>>> FrameBuffer::next() {
  const auto available = std::span<const std::byte>(bytes_).subspan(begin_, end_ - begin_);
  if (available.size() < kFrameHeaderSize) return std::nullopt;
  const std::size_t length = read_length(available);
  if (length > frame_size_max_) return make_error_code(WireErrc::kFrameTooLarge);
  if (available.size() - kFrameHeaderSize < length) return std::nullopt;
  begin_ += kFrameHeaderSize + length;
  return available.subspan(kFrameHeaderSize, length);
}

}  // namespace holdfast::wire
