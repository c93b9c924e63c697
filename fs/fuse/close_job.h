#pragma once
/// Between a request that must be answered in time (a close, an unlock: a dying process waits for
/// them and cannot be killed meanwhile) and its work, which may take longer.
///
/// Shared by the two coroutines; the one that ends last keeps it. Thread: the loop.

#include "holdfast/base/result.h"
#include "holdfast/lock/message.h"

#include <memory>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::fs {

struct CloseJob {
  explicit CloseJob(boost::asio::any_io_executor executor)
      : timer(executor, boost::asio::steady_timer::time_point::max()) {}

  boost::asio::steady_timer timer;  ///< waiting for it = waiting for the time to answer
  bool ended = false;
  ErrorCode error;
  QueryResult found;  ///< of a query
};

/// The work's scope: its end, however it comes, wakes whoever waits for the job.
class JobEnd {
 public:
  explicit JobEnd(std::shared_ptr<CloseJob> job) : job_(std::move(job)) {}
  JobEnd(const JobEnd&) = delete;
  JobEnd& operator=(const JobEnd&) = delete;
  ~JobEnd() {
    job_->ended = true;
    job_->timer.cancel();
  }

 private:
  std::shared_ptr<CloseJob> job_;
};

}  // namespace holdfast::fs
