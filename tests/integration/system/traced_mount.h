#pragma once
/// Freezes a process at an exact instruction: as it enters the system call that would send an NFS
/// WRITE. Everything before it (the look at its lease among it) is done, nothing has left.
///
/// Thread: one, the tracer (ptrace(2)).

#include <sys/types.h>

namespace holdfast::test {

class TracedMount {
 public:
  explicit TracedMount(pid_t process);
  ~TracedMount();  ///< lets it go on
  TracedMount(const TracedMount&) = delete;
  TracedMount& operator=(const TracedMount&) = delete;

  /// Returns with the process stopped there. False if it ended before.
  bool stop_at_write();
  void let_go();

 private:
  [[nodiscard]] bool enters_send_of_write() const;
  pid_t process_;
  bool stopped_ = false;
};

}  // namespace holdfast::test
