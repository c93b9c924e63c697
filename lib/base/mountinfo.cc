#include "holdfast/base/mountinfo.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <fstream>
#include <iterator>
#include <optional>

namespace holdfast {
namespace {

/// What `text` begins with, up to the separator; `text` goes on behind it.
std::string_view take(std::string_view& text, char separator) {
  const auto end = std::min(text.find(separator), text.size());
  const std::string_view out = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return out;
}

// The kernel writes blanks, tabs, line ends and backslashes as \ooo. Any other byte is part of the
// name, what else counts as blank included.
std::string unescape(std::string_view text) {
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

// id parent major:minor root mount-point options optional-fields... - type source super-options
std::optional<MountInfo> parse_line(std::string_view line) {
  const auto dash = line.find(" - ");
  if (dash == std::string_view::npos) return std::nullopt;
  std::string_view head = line.substr(0, dash);
  std::string_view tail = line.substr(dash + 3);
  MountInfo out;
  const auto id = take(head, ' ');
  std::from_chars(id.data(), id.data() + id.size(), out.id);
  take(head, ' ');
  out.device = take(head, ' ');
  out.root = unescape(take(head, ' '));
  out.path = unescape(take(head, ' '));
  out.options = take(head, ' ');
  out.type = take(tail, ' ');
  out.source = unescape(take(tail, ' '));
  out.super_options = take(tail, ' ');
  if (out.options.empty() || out.type.empty()) return std::nullopt;
  return out;
}

}  // namespace

std::string MountInfo::connection() const {
  return device.starts_with("0:") ? device.substr(2) : std::string();
}

std::vector<MountInfo> parse_mountinfo(std::string_view text) {
  std::vector<MountInfo> out;
  while (!text.empty())
    if (auto mount = parse_line(take(text, '\n'))) out.push_back(*std::move(mount));
  return out;
}

std::vector<MountInfo> read_mountinfo(const std::string& file) {
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return parse_mountinfo(text);
}

bool has_mount_option(std::string_view options, std::string_view wanted) {
  while (!options.empty())
    if (take(options, ',') == wanted) return true;
  return false;
}

}  // namespace holdfast
