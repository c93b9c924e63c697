#pragma once
/// The kernel's table of mounts. Reading it touches no file system, dead or hanging ones included.
///
/// Thread: any. Source: proc(5), /proc/pid/mountinfo.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

/// "rw" or "user_id=0" of a list separated by commas. Pure.
[[nodiscard]] bool has_mount_option(std::string_view options, std::string_view wanted);

/// One mount point. One file system may have several: bind mounts of pods.
struct MountInfo {
  std::uint64_t id = 0;
  std::string device;   ///< "0:53"; one file system, however often it is bound
  std::string root;     ///< the directory of it that is seen here; "/" unless a part was bound
  std::string path;     ///< where
  std::string options;  ///< of this place: "rw,relatime"
  std::string type;     ///< "fuse.holdfast", "nfs4"
  std::string source;   ///< "nas:/export"
  std::string super_options;  ///< of the file system: "rw,user_id=0,vers=4.2"

  [[nodiscard]] bool is_holdfast() const { return type == "fuse.holdfast"; }
  /// This place, or the whole file system, is mounted read-only.
  [[nodiscard]] bool read_only() const { return has_mount_option(options, "ro"); }
  [[nodiscard]] bool file_system_read_only() const { return has_mount_option(super_options, "ro"); }
  /// "53" of "0:53", as in /sys/fs/fuse/connections/53; empty if that is no FUSE mount's.
  [[nodiscard]] std::string connection() const;
};

/// A later mount lies on top of an earlier one at the same place. Lines that are not understood are
/// left out. Pure.
[[nodiscard]] std::vector<MountInfo> parse_mountinfo(std::string_view text);
/// None if it cannot be read.
[[nodiscard]] std::vector<MountInfo> read_mountinfo(
    const std::string& file = "/proc/self/mountinfo");

}  // namespace holdfast
