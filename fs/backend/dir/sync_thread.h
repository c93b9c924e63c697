#pragma once
/// Runs fdatasync(2) beside the loop: it waits for the disk, for seconds if that is busy.
///
/// Thread: the loop; the pool's thread sees only a descriptor of its own. stop() before
/// destruction.

#include "holdfast/base/result.h"
#include "holdfast/base/unique_fd.h"

#include <cstddef>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::fs::dir {

class SyncThread {
 public:
  /// Files synced at once. More callers wait their turn.
  static constexpr std::size_t kThreads = 2;

  explicit SyncThread(boost::asio::any_io_executor executor);
  ~SyncThread();
  SyncThread(const SyncThread&) = delete;
  SyncThread& operator=(const SyncThread&) = delete;

  /// Duplicates `fd` before the first suspension. Errors: those of fdatasync(2), EMFILE.
  boost::asio::awaitable<Result<void>> sync(int fd);
  /// Returns when no sync runs.
  boost::asio::awaitable<void> stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast::fs::dir
