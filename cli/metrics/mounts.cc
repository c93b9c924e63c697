#include "cli/metrics/mounts.h"

#include "fs/counters/counters.h"
#include "holdfast/base/mountinfo.h"

#include <set>

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
bool publishes_here(const MountInfo& mount) {
  return has_mount_option(mount.super_options, fmt::format("user_id={}", ::geteuid()));
}

}  // namespace

std::vector<KnownMount> known_mounts(const MetricsOptions& options) {
  std::vector<KnownMount> out;
  std::set<std::string> seen;
  for (const MountInfo& mount : read_mountinfo(options.mountinfo)) {
    const std::string connection = mount.connection();
    if (!mount.is_holdfast() || !seen.insert(connection).second) continue;
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
