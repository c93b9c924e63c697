#include "fs/volume/volume_id.h"

#include "holdfast/base/assert.h"

#include <sys/random.h>

namespace holdfast::fs {
namespace {

constexpr std::string_view kFormatLine = "holdfast-volume 1\n";
constexpr std::string_view kIdField = "id=";
constexpr std::string_view kComment =
    "# This file names the volume for Holdfast's lock coordinator. Every mount reads it.\n"
    "# Leave it in place: without it, or with another id, mounts would not see each other's "
    "locks.\n";
// A marker is complete only with this; what a creator that died left is not.
constexpr std::string_view kEndLine = "end\n";

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool dash_before(std::size_t byte) {
  return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

}  // namespace

VolumeId make_volume_id() {
  VolumeId id{};
  HOLDFAST_ASSERT(::getrandom(id.data(), id.size(), 0) == static_cast<ssize_t>(id.size()),
                  "the kernel always gives 16 random bytes (getrandom(2))");
  id[6] = static_cast<std::uint8_t>((id[6] & 0x0f) | 0x40);
  id[8] = static_cast<std::uint8_t>((id[8] & 0x3f) | 0x80);
  return id;
}

std::string to_string(const VolumeId& id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (dash_before(i)) out += '-';
    out += kDigits[id[i] >> 4];
    out += kDigits[id[i] & 0x0f];
  }
  return out;
}

std::optional<VolumeId> parse_volume_id(std::string_view text) {
  constexpr std::size_t kLength = 36;
  if (text.size() != kLength) return std::nullopt;
  VolumeId id{};
  std::size_t at = 0;
  for (std::size_t i = 0; i < id.size(); ++i) {
    if (dash_before(i) && text[at++] != '-') return std::nullopt;
    const int high = hex_digit(text[at++]);
    const int low = hex_digit(text[at++]);
    if (high < 0 || low < 0) return std::nullopt;
    id[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return id;
}

std::string marker_text(const VolumeId& id) {
  std::string out(kFormatLine);
  out += kIdField;
  out += to_string(id);
  out += '\n';
  out += kComment;
  out += kEndLine;
  return out;
}

std::optional<VolumeId> parse_marker(std::string_view text) {
  if (!text.starts_with(kFormatLine) || !text.ends_with(kEndLine)) return std::nullopt;
  text.remove_prefix(kFormatLine.size());
  if (!text.starts_with(kIdField)) return std::nullopt;
  text.remove_prefix(kIdField.size());
  return parse_volume_id(text.substr(0, text.find('\n')));
}

}  // namespace holdfast::fs
