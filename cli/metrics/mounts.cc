#include "cli/metrics/mounts.h"

#include "cli/mount/mountpoint.h"
#include "fs/counters/counters.h"

#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

using fs::counters::Reading;

std::optional<Reading> page_of(const std::string& connection,
                               const std::vector<std::string>& directories) {
  for (const std::string& directory : directories)
    if (auto page = Reading::open(fs::counters::file_of(directory, connection))) return page;
  return std::nullopt;
}

std::set<std::string> published(const std::vector<std::string>& directories) {
  std::set<std::string> connections;
  for (const std::string& directory : directories)
    connections.merge(fs::counters::published_in(directory));
  return connections;
}

/// The user's own mounts publish where we look; those of others need not.
bool publishes_here(const MountedHere& mount) {
  const std::string user = fmt::format("user_id={}", ::geteuid());
  std::istringstream options(mount.options);
  for (std::string one; std::getline(options, one, ',');)
    if (one == user) return true;
  return false;
}

}  // namespace

std::vector<KnownMount> known_mounts(const MetricsOptions& options) {
  std::ifstream file(options.mountinfo);
  std::ostringstream text;
  text << file.rdbuf();
  std::vector<KnownMount> out;
  std::set<std::string> seen;
  for (const MountedHere& mount : parse_mountinfo(text.str())) {
    const std::string connection = std::to_string(mount.minor_device);
    if (mount.type != "fuse.holdfast" || !seen.insert(connection).second) continue;
    auto page = page_of(connection, options.directories);
    if (!page && !publishes_here(mount)) continue;
    out.push_back({connection, mount.path, mount.source, std::move(page)});
  }
  for (const std::string& connection : published(options.directories)) {
    if (seen.contains(connection)) continue;
    if (auto page = page_of(connection, options.directories))
      out.push_back({connection, "", "", std::move(page)});
  }
  return out;
}

}  // namespace holdfast::cli
