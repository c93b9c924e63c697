#pragma once
/// The mounts of this machine and what they count. Asks the kernel's table of mounts and the pages
/// that mounts publish (ADR 14), and no mount: one that hangs is seen as well as any other.
///
/// Thread: any.

#include "fs/counters/reading.h"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::cli {

struct MetricsOptions {
  std::string listen;              ///< empty: print once
  std::vector<std::string> names;  ///< of this host, as in http::Options
  std::vector<std::string> directories;
  std::string mountinfo = "/proc/self/mountinfo";
};

struct KnownMount {
  std::string connection;  ///< its number, "52"
  std::string path;        ///< where it is mounted (first); empty: not in this table of mounts
  std::string source;
  std::optional<fs::counters::Reading> page;  ///< nothing: its process is dead
};

/// In the order of the table; then pages of mounts that are not in it, as in a container. Mounts of
/// other users that publish elsewhere are left out.
[[nodiscard]] std::vector<KnownMount> known_mounts(const MetricsOptions& options);

}  // namespace holdfast::cli
