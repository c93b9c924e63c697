#pragma once
/// All processes of a run, in one process group that cannot outlive its owner.
///
/// A warden process leads the group and reads a pipe whose only writer is the owner. When the owner
/// ends, by whatever cause, the pipe closes and the warden kills the group: also grandchildren and
/// processes that wait in a lock call. PR_SET_PDEATHSIG alone would miss grandchildren.
///
/// Thread: one. The owner must have no other threads (its children run on after fork without exec).

#include "holdfast/base/unique_fd.h"

#include <chrono>
#include <functional>
#include <optional>

#include <sys/types.h>

namespace holdfast::torture {

class Herd {
 public:
  /// Throws std::system_error if no process can be made.
  Herd();
  ~Herd();
  Herd(const Herd&) = delete;
  Herd& operator=(const Herd&) = delete;

  /// Runs `body` in a new process that exits with its result (99 after an exception).
  [[nodiscard]] pid_t start(const std::function<int()>& body);
  /// Call in a child that forks on its own: drops what only the owner may hold. `start` does it.
  void enter_child();

 private:
  pid_t warden_ = -1;
  UniqueFd leash_;
};

/// The status of `pid` once it has ended, nothing while it runs. Reaps it.
[[nodiscard]] std::optional<int> poll_end(pid_t pid);
/// Waits for the end of `pid`, at most `patience`; nothing if it still runs then.
[[nodiscard]] std::optional<int> wait_end(pid_t pid, std::chrono::milliseconds patience);
/// SIGKILL and reap. Nothing may keep a process in the kernel for ever: waits at most `patience`;
/// false if it is still there (the warden has another go at the end of the run).
bool kill_and_wait(pid_t pid, std::chrono::milliseconds patience = std::chrono::seconds(20));
/// "state D in locks_lock_inode_wait": what the kernel says `pid` is doing.
[[nodiscard]] std::string what_is_it_doing(pid_t pid);

}  // namespace holdfast::torture
