#pragma once
/// Whose turn it is among the connections that have sent more than messages_per_turn: one of them
/// in each round of the loop, first come first served. However many flood, everybody else waits for
/// one of them at most.
///
/// Thread: the executor's thread only.

#include "holdfast/task/event.h"

#include <deque>
#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace holdfast::lockd {

class Turns {
 public:
  explicit Turns(boost::asio::any_io_executor executor) : executor_(executor) {}

  /// Returns when it is the caller's turn, behind whatever is ready by then. done() must follow
  /// before it awaits anything else.
  boost::asio::awaitable<void> wait() {
    const auto mine = std::make_shared<task::Event>(executor_);
    queue_.push_back(mine);
    if (queue_.size() == 1) {
      co_await boost::asio::post(executor_, boost::asio::use_awaitable);
    } else {
      co_await mine->wait();  // resumed by post
    }
  }
  void done() {
    queue_.pop_front();
    if (!queue_.empty()) queue_.front()->set();
  }

 private:
  boost::asio::any_io_executor executor_;
  std::deque<std::shared_ptr<task::Event>> queue_;  // the front one has its turn, or will
};

}  // namespace holdfast::lockd
