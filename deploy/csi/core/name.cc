#include "deploy/csi/core/name.h"

#include "deploy/csi/core/escape.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

constexpr std::size_t kBytesMax = 128;     // CSI, "Size Limits"
constexpr std::size_t kFileNameMax = 200;  // 255, less what stands before or behind it

// CSI bans these; blanks, tabs and line ends are allowed and escaped.
bool is_banned(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7f;
}

}  // namespace

Done check_name(std::string_view name) {
  if (name.empty()) return Refusal{Code::kInvalidArgument, "name is missing"};
  if (name.size() > kBytesMax || as_file_name(name).size() > kFileNameMax)
    return Refusal{Code::kInvalidArgument, fmt::format("name: longer than {} bytes", kBytesMax)};
  if (std::any_of(name.begin(), name.end(), is_banned))
    return Refusal{Code::kInvalidArgument, "name: has control characters"};
  return {};
}

}  // namespace holdfast::csi
