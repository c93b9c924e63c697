#include "deploy/csi/core/name.h"

#include "deploy/csi/core/escape.h"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

constexpr std::size_t kBytesMax = 128;     // CSI, "Size Limits"
constexpr std::size_t kFileNameMax = 200;  // 255, less what stands before or behind it

// Kubernetes' have 40 ("pvc-" and a UUID).
constexpr std::size_t kStoredBytesMax = 64;
constexpr std::size_t kBeginBytes = 31;

/// FNV-1a. It need not withstand anybody: who gives names may make and remove every volume.
std::uint64_t hash_of(std::string_view text, std::uint64_t seed) {
  constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t out = seed;
  for (const char c : text)
    out = (out ^ static_cast<unsigned char>(c)) * kPrime;
  return out;
}

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

std::string stored_name(std::string_view name) {
  if (as_file_name(name).size() <= kStoredBytesMax) return std::string(name);
  std::string begin;
  for (const char c : name.substr(0, kBeginBytes)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    begin += plain ? c : '-';
  }
  return fmt::format("{}~{:016x}{:016x}", begin, hash_of(name, 0xcbf29ce484222325),
                     hash_of(name, 0x9ae16a3b2f90404f));
}

}  // namespace holdfast::csi
