#pragma once
/// One lock call in its three kinds, with errno as the result.

#include "cli/torture/history.h"

#include <cstdint>

#include <sys/types.h>

namespace holdfast::torture {

enum class LockKind : std::uint8_t { kPosix, kOfd, kFlock };
enum class Wait : std::uint8_t { kNo, kYes };

[[nodiscard]] const char* name_of(LockKind kind);
/// 0 or errno. `start` and `length` are ignored by flock.
[[nodiscard]] int lock(int fd, LockKind kind, Access access, Wait wait, off_t start, off_t length);
[[nodiscard]] int unlock(int fd, LockKind kind, off_t start, off_t length);

}  // namespace holdfast::torture
