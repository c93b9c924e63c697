#include "deploy/csi/core/mount_table.h"

#include <algorithm>

namespace holdfast::csi {

std::optional<MountInfo> MountTable::at(const std::string& path) const {
  const auto found = std::find_if(mounts_.rbegin(), mounts_.rend(),
                                  [&](const MountInfo& mount) { return mount.path == path; });
  if (found == mounts_.rend()) return std::nullopt;
  return *found;
}

std::vector<std::string> MountTable::elsewhere(const MountInfo& mount, const std::string& staging,
                                               const std::string& target) const {
  std::vector<std::string> out;
  for (const auto& other : mounts_) {
    if (other.device == mount.device && other.root == mount.root && other.path != staging &&
        other.path != target && other.path.find("/volume-subpaths/") == std::string::npos)
      out.push_back(other.path);
  }
  return out;
}

bool MountTable::is_mounted_elsewhere(const MountInfo& mount) const {
  return std::any_of(mounts_.begin(), mounts_.end(), [&](const MountInfo& other) {
    return other.device == mount.device && other.path != mount.path;
  });
}

}  // namespace holdfast::csi
