#pragma once
/// A node in memory: what is mounted where, and a keeper that looks at what it is asked to do.
/// Instead of deploy/csi/node/mounts.cc, prober.cc and keeper/client.cc. Thread: one.

#include "deploy/csi/core/mount_table.h"
#include "deploy/csi/node/prober.h"

#include <string>
#include <vector>

namespace holdfast::csi::fuzz {

struct Node {
  std::vector<MountInfo> mounts;
  unsigned mounted = 0;  ///< mounts the keeper has made
  Health::State health = Health::State::kWell;

  void mount(const std::string& source, const std::string& path, bool read_only);
  [[nodiscard]] unsigned count_at(const std::string& path) const;
};
/// A new one for each input.
extern Node* the_node;

}  // namespace holdfast::csi::fuzz
