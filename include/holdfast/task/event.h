#pragma once
/// A condition coroutines wait for: "the gate is open", "the reply is here". Level triggered.
///
/// Thread: the executor's thread only. Waiters are resumed by post, never inline in set().

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::task {

class Event {
 public:
  explicit Event(boost::asio::any_io_executor executor);
  void set();
  void clear() { set_ = false; }
  [[nodiscard]] bool is_set() const { return set_; }
  /// Returns once set; at once if it is. On cancellation of the awaiting coroutine it throws
  /// operation_aborted.
  boost::asio::awaitable<void> wait();

 private:
  boost::asio::steady_timer timer_;
  bool set_ = false;
};

}  // namespace holdfast::task
