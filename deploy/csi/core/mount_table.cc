#include "deploy/csi/core/mount_table.h"

#include "holdfast/base/mountinfo.h"

#include <algorithm>
#include <sstream>
#include <string_view>

namespace holdfast::csi {
namespace {

bool has_option(const std::string& options, std::string_view wanted) {
  std::istringstream words(options);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == wanted) return true;
  }
  return false;
}

/// Fields are separated by one blank; what else counts as blank may be part of them.
std::string take_field(std::string_view& line) {
  const auto end = std::min(line.find(' '), line.size());
  std::string out(line.substr(0, end));
  line.remove_prefix(std::min(end + 1, line.size()));
  return out;
}

/// id parent major:minor root mount-point options optional-fields... - type source super-options
std::optional<Mount> parse_line(const std::string& line) {
  const auto dash = line.find(" - ");
  if (dash == std::string::npos) return std::nullopt;
  Mount out;
  std::string_view head = std::string_view(line).substr(0, dash);
  static_cast<void>(take_field(head));
  static_cast<void>(take_field(head));
  out.device = take_field(head);
  out.root = take_field(head);
  out.path = take_field(head);
  const std::string options = take_field(head);
  std::string_view tail = std::string_view(line).substr(dash + 3);
  out.type = take_field(tail);
  out.source = take_field(tail);
  const std::string super = take_field(tail);
  if (options.empty() || out.type.empty()) return std::nullopt;
  out.root = unescape_mountinfo(out.root);
  out.path = unescape_mountinfo(out.path);
  out.source = unescape_mountinfo(out.source);
  out.read_only = has_option(options, "ro");
  out.file_system_read_only = has_option(super, "ro");
  return out;
}

}  // namespace

MountTable::MountTable(std::string_view mountinfo) {
  std::istringstream lines{std::string(mountinfo)};
  for (std::string line; std::getline(lines, line);) {
    if (auto mount = parse_line(line)) mounts_.push_back(std::move(*mount));
  }
}

std::optional<Mount> MountTable::at(const std::string& path) const {
  const auto found = std::find_if(mounts_.rbegin(), mounts_.rend(),
                                  [&](const Mount& mount) { return mount.path == path; });
  if (found == mounts_.rend()) return std::nullopt;
  return *found;
}

std::vector<std::string> MountTable::elsewhere(const Mount& mount, const std::string& staging,
                                               const std::string& target) const {
  std::vector<std::string> out;
  for (const auto& other : mounts_) {
    if (other.device == mount.device && other.root == mount.root && other.path != staging &&
        other.path != target && other.path.find("/volume-subpaths/") == std::string::npos)
      out.push_back(other.path);
  }
  return out;
}

bool MountTable::is_mounted_elsewhere(const Mount& mount) const {
  return std::any_of(mounts_.begin(), mounts_.end(), [&](const Mount& other) {
    return other.device == mount.device && other.path != mount.path;
  });
}

}  // namespace holdfast::csi
