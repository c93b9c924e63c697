#pragma once
/// The path under which an O_PATH descriptor's file can be opened, linked or changed (proc(5),
/// /proc/pid/fd). It leads to the file itself, also for a symbolic link.

#include <array>
#include <cstdio>

namespace holdfast::fs::dir {

class ProcPath {
 public:
  explicit ProcPath(int fd) { std::snprintf(text_.data(), text_.size(), "/proc/self/fd/%d", fd); }
  [[nodiscard]] const char* c_str() const { return text_.data(); }

 private:
  std::array<char, 32> text_{};
};

}  // namespace holdfast::fs::dir
