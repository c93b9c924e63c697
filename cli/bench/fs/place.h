#pragma once
/// A file system to be measured: directories that show the same files, each through a mount of its
/// own, and what those mounts count.

#include "cli/bench/fs/options.h"
#include "fs/counters/reading.h"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::bench::fs {

using Counts = holdfast::fs::counters::Counts;

class Place {
 public:
  /// Makes a directory of our own in it. Throws SetupError: not writable, or the directories do not
  /// show the same files.
  explicit Place(PlaceName name);
  /// Removes that directory with all it holds.
  ~Place();
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  [[nodiscard]] const std::string& name() const { return name_.name; }
  [[nodiscard]] std::size_t mounts() const { return paths_.size(); }
  /// Where `file` of ours is, seen through mount `mount`.
  [[nodiscard]] std::string path(const std::string& file, std::size_t mount = 0) const {
    return paths_[mount] + "/" + file;
  }
  /// What all mounts have asked since they began, once nothing is on its way any more, without
  /// what keeps their sessions alive; nothing if one of them does not say.
  [[nodiscard]] std::optional<Counts> settled_counts() const;

 private:
  [[nodiscard]] Counts counts() const;

  PlaceName name_;
  std::vector<std::string> paths_;
  std::vector<holdfast::fs::counters::Reading> readings_;
};

/// `after` - `before`, by name; what did not change is left out.
[[nodiscard]] Counts difference(const Counts& after, const Counts& before);
}  // namespace holdfast::bench::fs
