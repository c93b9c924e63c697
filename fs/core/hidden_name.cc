#include "fs/core/hidden_name.h"

#include <charconv>
#include <cstddef>
#include <system_error>

namespace holdfast::fs {
namespace {

constexpr std::size_t kHexDigits = 16;
constexpr std::string_view kShmSuffix = "-shm";

std::string hex(std::uint64_t value) {
  std::string text(kHexDigits, '0');
  for (std::size_t i = kHexDigits; i-- > 0; value >>= 4)
    text[i] = "0123456789abcdef"[value & 0xf];
  return text;
}

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size() || hex(value) != text)
    return std::nullopt;
  return value;
}

}  // namespace

std::string to_string(SillyName name) {
  return std::string(kSillyPrefix) + hex(name.life) + "-" + hex(name.number);
}

std::optional<SillyName> parse_silly_name(std::string_view name) {
  if (!name.starts_with(kSillyPrefix)) return std::nullopt;
  name.remove_prefix(kSillyPrefix.size());
  if (name.size() != 2 * kHexDigits + 1 || name[kHexDigits] != '-') return std::nullopt;
  const auto life = parse_hex(name.substr(0, kHexDigits));
  const auto number = parse_hex(name.substr(kHexDigits + 1));
  if (!life || !number) return std::nullopt;
  return SillyName{*life, *number};
}

std::optional<std::string_view> wal_index_database(std::string_view name) {
  if (!name.ends_with(kShmSuffix) || name.size() == kShmSuffix.size()) return std::nullopt;
  name.remove_suffix(kShmSuffix.size());
  return name;
}

}  // namespace holdfast::fs
