#include "deploy/csi/core/escape.h"

#include "deploy/csi/core/refusal.h"

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

std::string escaped(char c) {
  return fmt::format("%{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
}

std::optional<unsigned> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return std::nullopt;
}

}  // namespace

std::string escape(std::string_view text, std::string_view also) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        byte >= 0x20 && byte != 0x7f && c != '%' && also.find(c) == std::string_view::npos;
    if (plain) {
      out += c;
    } else {
      out += escaped(c);
    }
  }
  return out;
}

std::optional<std::string> unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const auto high = digit(text[i + 1]);
    const auto low = digit(text[i + 2]);
    if (!high || !low) return std::nullopt;
    out += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return out;
}

std::string as_file_name(std::string_view name) {
  std::string out = escape(name, "/");
  if (out.starts_with('.')) out.replace(0, 1, escaped('.'));
  return out;
}

std::string printable(const std::string& text) {
  return escape(text, "");
}

}  // namespace holdfast::csi
