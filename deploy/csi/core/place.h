#pragma once
/// Where a volume is: a server, an export of it, a directory in that. Checked once, when built from
/// texts of others; nothing outside the export can be named. Pure.

#include "deploy/csi/core/refusal.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::csi {

/// An NFS export, as the controller mounts it.
struct Share {
  std::string server;                 ///< host name or address, IPv6 without brackets
  std::optional<std::uint16_t> port;  ///< of the NFS service, where it is not 2049
  std::string path;                   ///< absolute, normal: "/export", "/"

  friend bool operator==(const Share&, const Share&) = default;
};

/// A volume's place. `directory` is relative, normal, never above the share: "pvc-1", "team/app".
/// Empty: the share itself, which only volumes made by hand may be.
struct Place {
  Share share;
  std::string directory;

  friend bool operator==(const Place&, const Place&) = default;
};

/// "nas", "nas:2050", "192.0.2.1", "2001:db8::1", "[2001:db8::1]:2050".
[[nodiscard]] Answer<Share> parse_share(std::string_view server, std::string_view path);
/// Redundant slashes are dropped; "..", ".", and names that Holdfast keeps for itself are refused.
[[nodiscard]] Answer<std::string> parse_directory(std::string_view text);

/// As in parse_share(), without brackets where none are needed.
[[nodiscard]] std::string server_text(const Share& share);
/// What `holdfast mount` takes: "nas:/export/pvc-1".
[[nodiscard]] std::string mount_source(const Place& place);
/// One is the other, or lies in it.
[[nodiscard]] bool overlap(std::string_view directory, std::string_view other);

}  // namespace holdfast::csi
