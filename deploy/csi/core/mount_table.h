#pragma once
/// The kernel's table of mounts, as the node service asks it. Pure.

#include "holdfast/base/mountinfo.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::csi {

class MountTable {
 public:
  explicit MountTable(std::vector<MountInfo> mounts) : mounts_(std::move(mounts)) {}

  /// What one sees at `path`: the last one mounted there.
  [[nodiscard]] std::optional<MountInfo> at(const std::string& path) const;
  /// Other mount points at which pods see all of `mount`'s file system; kubelet's binds of
  /// directories in it (subPath) do not count.
  [[nodiscard]] std::vector<std::string> elsewhere(const MountInfo& mount,
                                                   const std::string& staging,
                                                   const std::string& target) const;
  /// Any mount point of that file system but `path`.
  [[nodiscard]] bool is_mounted_elsewhere(const MountInfo& mount) const;

 private:
  std::vector<MountInfo> mounts_;
};

}  // namespace holdfast::csi
