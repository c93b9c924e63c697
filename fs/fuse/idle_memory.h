#pragma once
/// Gives the memory of buffers back when the streams that needed it have ended.
///
/// Thread: the loop.

#include <cstddef>
#include <cstdint>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::fs {

class IdleMemory {
 public:
  explicit IdleMemory(boost::asio::any_io_executor loop) : timer_(std::move(loop)) {}

  /// A buffer of that size was needed.
  void used(std::size_t bytes);
  void stop() { timer_.cancel(); }

 private:
  void wait();

  boost::asio::steady_timer timer_;
  std::uint64_t used_ = 0;  // since memory was given back
  bool waiting_ = false;
};

}  // namespace holdfast::fs
