#include "cli/mount/clearing.h"

#include "cli/runtime_directory.h"
#include "fs/counters/page.h"
#include "fs/published/leftovers.h"
#include "fs/state/page.h"
#include "holdfast/base/mountinfo.h"

#include <filesystem>
#include <set>
#include <system_error>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

/// The kernel's list of connections, which has those of all namespaces of mounts, where fusectl is
/// mounted.
bool has_connection(const std::string& connection) {
  std::error_code ignored;
  return std::filesystem::exists(fmt::format("/sys/fs/fuse/connections/{}", connection), ignored);
}

}  // namespace

std::vector<std::string> clear_runtime_directory() {
  const auto mounts = read_mountinfo();
  if (mounts.empty()) return {};  // then nothing is known of any mount
  std::set<std::string> mounted;
  for (const MountInfo& mount : mounts)
    if (mount.type.starts_with("fuse")) mounted.insert(mount.connection());
  return fs::published::clear_leftovers(
      runtime_directory(),
      {std::string(fs::counters::kKind.name), std::string(fs::state::kKind.name)},
      [&](const std::string& connection) {
        return mounted.contains(connection) || has_connection(connection);
      });
}

}  // namespace holdfast::cli
