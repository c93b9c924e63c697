#pragma once
/// Names in a directory that applications never see. Pure.
///
/// *Silly names*: where a file that is open on this mount stays when it is unlinked or replaced
/// (NFS has no open files: RFC 1813 section 4.1's "last close problem").
/// `.holdfast-silly-LIFE-NUMBER`, both hexadecimal; LIFE names the mount's life that made it, which
/// holds a lock at lockd on it for as long as it lives. Whoever gets that lock knows the life is
/// over and may remove the file.
///
/// *The volume's marker* (fs/volume) and the names it is written under first: applications that
/// want an empty directory (initdb) get one, and nobody forges or removes it through a mount.
///
/// *wal-index names*: `NAME-shm` beside a regular file NAME is SQLite's shared memory; it exists in
/// this mount's memory only.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::fs {

inline constexpr std::string_view kSillyPrefix = ".holdfast-silly-";
inline constexpr std::string_view kVolumeMarker = ".holdfast-volume";
inline constexpr std::string_view kVolumeMarkerPrefix = ".holdfast-volume.";

struct SillyName {
  std::uint64_t life = 0;
  std::uint64_t number = 0;
  friend bool operator==(const SillyName&, const SillyName&) = default;
};

[[nodiscard]] std::string to_string(SillyName name);
/// Nothing if `name` is not exactly what to_string() makes.
[[nodiscard]] std::optional<SillyName> parse_silly_name(std::string_view name);
/// Anything with our prefix is hidden, also what does not parse: the prefix is ours.
[[nodiscard]] inline bool is_hidden(std::string_view name) {
  return name.starts_with(kSillyPrefix) || name == kVolumeMarker ||
         name.starts_with(kVolumeMarkerPrefix);
}

/// "x.db" for "x.db-shm"; nothing for other names.
[[nodiscard]] std::optional<std::string_view> wal_index_database(std::string_view name);

}  // namespace holdfast::fs
