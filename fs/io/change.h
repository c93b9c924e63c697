#pragma once
/// Tells waiting coroutines that something changed; each looks for itself whether that concerns it.
///
/// Not task::Event: one waiter that finds nothing and waits again must not put the others back to
/// sleep. Thread: the loop.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::fs {

class Change {
 public:
  explicit Change(boost::asio::any_io_executor executor);
  /// Wakes all who wait now, by post.
  void notify() { timer_.cancel(); }
  /// Returns after the next notify(). Throws operation_aborted if the coroutine was cancelled.
  boost::asio::awaitable<void> wait();

 private:
  boost::asio::steady_timer timer_;
};

}  // namespace holdfast::fs
