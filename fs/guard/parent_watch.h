#pragma once
/// Whether the thread that spawned this process has ended, though its process may live on.
///
/// PR_SET_PDEATHSIG is sent when that *thread* ends. A killed process whose other threads are stuck
/// in the kernel (state D) is not reaped and closes nothing, but its main thread is gone.
///
/// The signal is blocked and read from a descriptor. It counts only if the kernel sent it for the
/// parent: nobody ends a guardian's mount by a stray signal.

#include <sys/types.h>

namespace holdfast::fs::guard {

class ParentWatch {
 public:
  ParentWatch();
  ~ParentWatch();
  ParentWatch(const ParentWatch&) = delete;
  ParentWatch& operator=(const ParentWatch&) = delete;

  /// Readable when there may be news; -1: it cannot watch.
  [[nodiscard]] int descriptor() const { return signals_; }
  /// Never waits. Once true, always true.
  [[nodiscard]] bool has_ended();

 private:
  pid_t parent_;
  int signals_ = -1;
  bool ended_ = false;
};

}  // namespace holdfast::fs::guard
