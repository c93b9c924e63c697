#pragma once
/// An event loop that a test drives: runs coroutines to their end, with a bound.

#include <chrono>
#include <functional>
#include <future>
#include <stdexcept>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

namespace holdfast::support {

class DrivenLoop {
 public:
  static constexpr std::chrono::seconds kPatience{100};

  [[nodiscard]] boost::asio::io_context& context() { return context_; }
  [[nodiscard]] boost::asio::any_io_executor executor() { return context_.get_executor(); }

  /// Starts `work`; its result is in the future once the loop was driven far enough.
  template <class T>
  [[nodiscard]] std::future<T> begin(boost::asio::awaitable<T> work) {
    return boost::asio::co_spawn(context_, std::move(work), boost::asio::use_future);
  }

  /// Drives until `done` says so; throws when that takes longer than kPatience.
  void until(const std::function<bool()>& done) {
    const auto give_up = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > give_up) throw std::runtime_error("nothing happened");
      context_.restart();
      context_.run_for(std::chrono::milliseconds(5));
    }
  }
  void drive(std::chrono::milliseconds duration) {
    context_.restart();
    context_.run_for(duration);
  }

  template <class T>
  [[nodiscard]] static bool ready(const std::future<T>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  template <class T>
  T finish(std::future<T> future) {
    until([&] { return ready(future); });
    return future.get();
  }
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    return finish(begin(std::move(work)));
  }

 private:
  boost::asio::io_context context_{1};
};

}  // namespace holdfast::support
