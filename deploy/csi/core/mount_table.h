#pragma once
/// The kernel's list of mounts (/proc/self/mountinfo), as the node service asks it: reading it
/// touches no file system, dead or hanging ones included. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::csi {

struct Mount {
  std::string device;  ///< "0:52"; one file system, however often it is bound
  std::string root;    ///< the directory of it that is seen here; "/" unless a part was bound
  std::string path;
  std::string type;
  std::string source;
  bool read_only = false;              ///< this mount point
  bool file_system_read_only = false;  ///< the file system, for all mount points

  [[nodiscard]] bool is_holdfast() const { return type == "fuse.holdfast"; }
  friend bool operator==(const Mount&, const Mount&) = default;
};

class MountTable {
 public:
  explicit MountTable(std::string_view mountinfo);

  /// What one sees at `path`: the last one mounted there.
  [[nodiscard]] std::optional<Mount> at(const std::string& path) const;
  /// Other mount points at which pods see all of `mount`'s file system; kubelet's binds of
  /// directories in it (subPath) do not count.
  [[nodiscard]] std::vector<std::string> elsewhere(const Mount& mount, const std::string& staging,
                                                   const std::string& target) const;
  /// Any mount point of that file system but `path`.
  [[nodiscard]] bool is_mounted_elsewhere(const Mount& mount) const;

 private:
  std::vector<Mount> mounts_;
};

}  // namespace holdfast::csi
