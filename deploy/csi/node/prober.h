#pragma once
/// Is a mount well, and how full is it? Asked by a child process: a call into a file system that
/// hangs cannot be taken back, and must hang nobody who is needed.
///
/// The child is this program itself with --probe (probe_main()). What does not answer in time is
/// killed; if it does not die either (the mount's process is frozen), it is remembered, and the
/// same mount is not asked again until it has: at most one stuck child per mount.
///
/// Thread: any.

#include "deploy/csi/core/mount_table.h"

#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include <sys/types.h>

namespace holdfast::csi {

struct Usage {
  std::int64_t total = 0;
  std::int64_t used = 0;
  std::int64_t available = 0;
};

struct Health {
  enum class State {
    kWell,
    kDead,     ///< its process has ended: ENOTCONN for ever
    kHanging,  ///< no answer in time: the storage is away, or lockd, or the process is frozen
    kFailing,  ///< it answers with an error
  };
  State state = State::kFailing;
  std::string why;  ///< for people, unless well
  Usage bytes;
  Usage inodes;
};

class Prober {
 public:
  explicit Prober(std::chrono::milliseconds patience) : patience_(patience) {}
  [[nodiscard]] Health ask(const MountInfo& mount);

 private:
  [[nodiscard]] bool still_stuck(const std::string& device);

  const std::chrono::milliseconds patience_;
  std::mutex mutex_;                    // guards stuck_; nothing else is taken under it
  std::map<std::string, pid_t> stuck_;  // by device
};

/// The child: asks and prints. Returns an exit code.
[[nodiscard]] int probe_main(const char* path);

}  // namespace holdfast::csi
