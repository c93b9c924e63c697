#pragma once
/// The Holdfast mounts of this node, from its mount table; and a look at a path that comes back
/// even if the file system under it does not answer.

#include "holdfast/base/result.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// One line of /proc/self/mountinfo. One mount may have several: bind mounts of pods.
struct MountLine {
  std::string device;  ///< "0:53"
  std::string path;
  std::string type;           ///< "fuse.holdfast", "nfs4"
  std::string source;         ///< "nas:/export"
  std::string options;        ///< of this place: "rw,relatime"
  std::string super_options;  ///< of the file system: "rw,vers=4.2,local_lock=none"
};
/// Pure. Lines that are not understood are left out.
[[nodiscard]] std::vector<MountLine> parse_mountinfo(std::string_view text);
[[nodiscard]] std::vector<MountLine> read_mountinfo();

inline constexpr std::string_view kHoldfastType = "fuse.holdfast";
/// "53" of "0:53"; empty if that is no FUSE mount's.
[[nodiscard]] std::string connection_of(const MountLine& line);

/// What stat(2) says of a path.
struct Looked {
  std::string device;  ///< "0:53"
  std::uint64_t fileid = 0;
  std::uint32_t mode = 0;
};
/// Asked by a child process: a call into a file system that hangs cannot be taken back. Errors:
/// stat's; ETIMEDOUT.
[[nodiscard]] Result<Looked> look_at(const std::string& path, std::chrono::milliseconds patience);

/// Absolute, without links resolved (which a mount that hangs would not answer), and without a
/// slash at its end.
[[nodiscard]] std::string plain_path(const std::string& path);
/// The line whose file system `path` lies in, by names alone: asks nobody. Pure.
[[nodiscard]] const MountLine* mount_over(const std::vector<MountLine>& lines,
                                          std::string_view path);

}  // namespace holdfast::cli
