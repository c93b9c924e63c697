#pragma once
/// Locks of one owner as the simulator's judges see them: an array of bytes, so that splitting,
/// merging and conversion cannot be got wrong. Applications lock only the first kCells bytes.

#include "holdfast/lock/message.h"

#include <array>
#include <cstdint>

namespace holdfast::sim {

inline constexpr unsigned kCells = 8;
using Mask = std::uint32_t;
inline constexpr Mask kAllCells = (1U << kCells) - 1;

[[nodiscard]] inline Mask mask_of(const ByteRange& range) {
  Mask mask = 0;
  for (unsigned i = 0; i < kCells; ++i)
    if (range.start() <= i && i < range.end()) mask |= 1U << i;
  return mask;
}

/// What one owner holds in one space of one file.
struct Cells {
  Mask shared = 0;
  Mask exclusive = 0;
  std::array<std::uint32_t, kCells> handles{};

  [[nodiscard]] Mask held() const { return shared | exclusive; }
  [[nodiscard]] bool conflicts(Mask mask, LockMode mode) const {
    return ((mode == LockMode::kExclusive ? held() : exclusive) & mask) != 0;
  }
  [[nodiscard]] bool conflicts(const Cells& other) const {
    return (exclusive & other.held()) != 0 || (held() & other.exclusive) != 0;
  }
  void set(Mask mask, LockMode mode, HandleId handle) {
    clear(mask);
    (mode == LockMode::kExclusive ? exclusive : shared) |= mask;
    for (unsigned i = 0; i < kCells; ++i)
      if ((mask >> i & 1U) != 0) handles[i] = static_cast<std::uint32_t>(handle.value);
  }
  void clear(Mask mask) {
    shared &= ~mask;
    exclusive &= ~mask;
  }
  void clear_handle(HandleId handle) {
    for (unsigned i = 0; i < kCells; ++i)
      if (handles[i] == static_cast<std::uint32_t>(handle.value)) clear(1U << i);
  }
  friend bool same_modes(const Cells& a, const Cells& b) {
    return a.shared == b.shared && a.exclusive == b.exclusive;
  }
};

/// One space of one file.
struct Lane {
  std::size_t file = 0;
  LockSpace space = LockSpace::kRange;
  friend bool operator==(const Lane&, const Lane&) = default;
  [[nodiscard]] std::size_t index() const {
    return file * 2 + (space == LockSpace::kFlock ? 1 : 0);
  }
};

[[nodiscard]] inline FileKey key_of(std::size_t file) {
  return {file + 1, 0x9000 + file};
}
/// Of the volume it is no file: kNoFile.
inline constexpr std::size_t kNoFile = SIZE_MAX;
[[nodiscard]] inline std::size_t file_of(const FileKey& key) {
  return static_cast<std::size_t>(key.fileid - 1);
}

}  // namespace holdfast::sim
