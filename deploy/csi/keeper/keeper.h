#pragma once
/// The keeper: starts mounts outside the driver's process tree, so that they outlive the driver
/// (docs/adr/0015-a-keeper-for-mounts.md).
///
/// One process for each request, forked: a command that takes long is in nobody's way, and one
/// request cannot bring down the others. Mount processes that lose their parent become the keeper's
/// children (PR_SET_CHILD_SUBREAPER), which buries them. It holds no state: what is mounted is the
/// kernel's to say.
///
/// Thread: single-threaded, since it forks.

#include <chrono>
#include <string>

namespace holdfast::csi {

struct KeeperOptions {
  std::string socket_path;
  std::string program;  ///< the `holdfast` to run
};

/// Serves until SIGTERM or SIGINT; mounts go on. Returns an exit code.
[[nodiscard]] int keep(const KeeperOptions& options);

}  // namespace holdfast::csi
