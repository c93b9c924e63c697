#pragma once
/// Lets a process that is being killed go, although the storage does not answer what it asked.
///
/// Once a request has been read from the kernel, not even SIGKILL takes its caller out of it (state
/// D; linux: fs/fuse/dev.c, request_wait_answer): only our answer does. FUSE_INTERRUPT tells of any
/// signal, once; whether it is a fatal one is in the thread's pending signals, where the kernel
/// puts a SIGKILL whatever the signal was (kernel/signal.c, complete_signal). Nobody sees the
/// answer of a dying process, so it may be anything.
///
/// Only for requests that change nothing: a change goes on in the storage after its answer, and the
/// locks of the dying process would be given away before it has ended.
///
/// Thread: the loop. Shared with the timer.

#include "fs/fuse/fuse_api.h"

#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/types.h>

namespace holdfast::fs {

class KillWatch : public std::enable_shared_from_this<KillWatch> {
 public:
  explicit KillWatch(boost::asio::any_io_executor loop) : timer_(std::move(loop)) {}

  /// While `request` is unanswered: `cancel()` is emitted when its caller is being killed.
  void watch(fuse_req_t request);
  [[nodiscard]] boost::asio::cancellation_slot slot() { return cancel_.slot(); }
  void cancel() { cancel_.emit(boost::asio::cancellation_type::terminal); }
  /// The request was answered.
  void end();

 private:
  static void interrupted(fuse_req_t request, void* self);
  void look();
  boost::asio::steady_timer timer_;
  boost::asio::cancellation_signal cancel_;
  pid_t tid_ = 0;
  bool ended_ = false;
};

/// A SIGKILL is pending for the thread. False if it cannot be seen.
[[nodiscard]] bool is_being_killed(pid_t tid);

}  // namespace holdfast::fs
