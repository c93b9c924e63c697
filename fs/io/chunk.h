#pragma once
/// Bytes that a program wrote, from the request they came in until the storage has promised to keep
/// them. Whoever holds them shares one buffer, so they are not copied on their way.
///
/// A value: who changes what others hold too changes a copy. Pure.
///
/// Memory: the buffer lives as long as the last that holds a part of it; see compact().
/// Thread: the loop.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

namespace holdfast::fs {

class Chunk {
 public:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };

  Chunk() = default;
  Chunk(std::vector<std::uint8_t> bytes);  // NOLINT(google-explicit-constructor)
  /// `bytes` are a part of the `size` bytes of `buffer`.
  Chunk(std::unique_ptr<void, Free> buffer, std::size_t size, std::span<const std::uint8_t> bytes);
  [[nodiscard]] static Chunk copy_of(std::span<const std::uint8_t> bytes);

  [[nodiscard]] std::span<const std::uint8_t> bytes() const { return bytes_; }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }
  [[nodiscard]] bool empty() const { return bytes_.empty(); }

  /// Shares the buffer. `from` and `size` lie within.
  [[nodiscard]] Chunk part(std::size_t from, std::size_t size) const;
  /// The same bytes, for whoever keeps them long: a copy, if they are less than half of their
  /// buffer. So what is kept takes at most twice the memory that is counted for it.
  [[nodiscard]] Chunk compact() const;

  void overwrite(std::size_t at, std::span<const std::uint8_t> bytes);
  void append(std::span<const std::uint8_t> bytes);

 private:
  struct Buffer {
    std::vector<std::uint8_t> grows;
    std::unique_ptr<void, Free> taken;  // instead
    std::size_t size = 0;               // of what was taken
  };
  [[nodiscard]] bool alone() const { return buffer_.use_count() == 1; }
  [[nodiscard]] std::size_t buffer_size() const;
  /// Moves into a buffer of its own that can grow to `size`.
  void detach(std::size_t size);

  std::shared_ptr<Buffer> buffer_;
  std::span<const std::uint8_t> bytes_;
};

}  // namespace holdfast::fs
