#pragma once
/// The mark of a living mount process: a locked file by its mount point, so that `holdfast unmount`
/// can wait for the process and not only for the mount.

#include "holdfast/base/unique_fd.h"

#include <chrono>
#include <string>

namespace holdfast::cli {

class Presence {
 public:
  /// Best effort: without it nobody waits for us.
  explicit Presence(const std::string& mountpoint);
  /// The lock stays until the process ends.
  ~Presence();
  Presence(const Presence&) = delete;
  Presence& operator=(const Presence&) = delete;

 private:
  std::string path_;
  UniqueFd file_;
};

enum class Waited { kGone, kStillThere };
/// Until no process is present for `mountpoint`.
[[nodiscard]] Waited wait_until_gone(const std::string& mountpoint, std::chrono::seconds timeout);

}  // namespace holdfast::cli
