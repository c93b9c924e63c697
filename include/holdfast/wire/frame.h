#pragma once
/// Frames: a 4-byte big-endian length, then so many bytes of one protobuf message
/// (docs/protocol.md, "Frames").
///
/// Pure. Thread: one owner. Memory: at most the frame limit plus one read; it grows as bytes
/// arrive, never because a length announces them.

#include "holdfast/base/result.h"

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace holdfast::wire {

inline constexpr std::size_t kFrameHeaderSize = 4;
/// Longest message, without its header.
inline constexpr std::size_t kFrameSizeMax = std::size_t{1} << 20;
/// Longest message to lockd from whoever does not reclaim: nobody else gets more memory than this,
/// or more work done with one message.
inline constexpr std::size_t kUsualFrameSizeMax = std::size_t{16} << 10;
/// Longest text for people in a message (PATH_MAX).
inline constexpr std::size_t kTextSizeMax = 4096;

/// Bytes as they arrive, frames as they are complete.
class FrameBuffer {
 public:
  explicit FrameBuffer(std::size_t frame_size_max = kFrameSizeMax)
      : frame_size_max_(frame_size_max) {}

  void set_frame_size_max(std::size_t bytes) { frame_size_max_ = bytes; }

  /// Room for more bytes, never empty. Ends the life of frames that next() gave.
  [[nodiscard]] std::span<std::byte> prepare();
  /// So many bytes of prepare()'s room are filled.
  void commit(std::size_t bytes);
  /// The next whole frame's body; nothing if it is not complete; kFrameTooLarge.
  [[nodiscard]] Result<std::optional<std::span<const std::byte>>> next();

 private:
  std::vector<std::byte> bytes_;
  std::size_t begin_ = 0;  // first byte not given out
  std::size_t end_ = 0;    // one past the last byte received
  std::size_t frame_size_max_;
};

}  // namespace holdfast::wire
