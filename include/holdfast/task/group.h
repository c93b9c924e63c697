#pragma once
/// Every spawned coroutine belongs to a group, so that stopping is: refuse new work, cancel, wait,
/// destroy.
///
/// Thread: the executor's thread only. A group must be empty (join() returned) before it is
/// destroyed.

#include <cstddef>
#include <functional>
#include <list>
#include <string_view>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::task {

class Group {
 public:
  explicit Group(boost::asio::any_io_executor executor);
  ~Group();
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  /// Starts `work`. An exception that leaves it is logged as `name` at error level and counted; it
  /// ends that coroutine only. Does nothing (the coroutine is destroyed unstarted) once the group
  /// is stopping.
  void spawn(std::string_view name, boost::asio::awaitable<void> work);
  /// Refuses further spawns and asks every running coroutine to stop (terminal cancellation).
  void cancel();
  /// Returns when no coroutine of the group runs.
  boost::asio::awaitable<void> join();
  [[nodiscard]] std::size_t size() const { return running_.size(); }

 private:
  boost::asio::any_io_executor executor_;
  boost::asio::steady_timer idle_;  // expires never; cancelled when the last coroutine ends
  std::list<boost::asio::cancellation_signal> running_;
  bool stopping_ = false;
};

}  // namespace holdfast::task
