#pragma once
/// How /proc/self/mountinfo writes paths and sources.

#include <cstddef>
#include <string>

namespace holdfast {

/// Blanks, tabs, line ends and backslashes are written \ooo; anything else that looks like it stays
/// as it is. Source: proc(5). Thread: any.
[[nodiscard]] inline std::string unescape_mountinfo(const std::string& text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      out +=
          static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + text[i + 3] - '0');
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace holdfast
