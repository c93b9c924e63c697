#pragma once
/// A small HTTP server that answers GET and HEAD, for status pages and metrics. It reads and tells;
/// nothing that is sent to it changes anything.
///
/// Bounds (Options): connections, size of a request's head, time for each request; no request has a
/// body. Whoever is over a bound is closed or refused. Every answer forbids the browser to load
/// anything from elsewhere, to run scripts that are not part of it, and to be shown inside another
/// page; none may be read by pages of others (no CORS). Requests for another host are refused
/// (host.h).
///
/// Thread: the executor's thread only. Lifetime: stop() has returned before destruction.

#include "holdfast/base/result.h"
#include "holdfast/task/group.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::http {

struct Answer {
  unsigned status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body;
  /// Of Content-Security-Policy, beside "default-src 'none'": what a page may use of itself.
  std::string policy;
};

/// `path` without what follows a '?'.
using Handler = std::function<boost::asio::awaitable<Answer>(std::string path)>;

struct Options {
  std::string address;             ///< a number, "localhost" or "*" (all)
  std::uint16_t port = 0;          ///< 0: any free one
  std::vector<std::string> names;  ///< see host_allowed()
  std::size_t connections_max = 32;
  std::size_t head_max = 8'192;
  std::chrono::milliseconds time_max{10'000};
};

class Server {
 public:
  Server(boost::asio::any_io_executor executor, Options options, Handler handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Listens, and serves from now on.
  [[nodiscard]] Result<void> open();
  [[nodiscard]] boost::asio::awaitable<void> stop();
  /// After open(): "127.0.0.1:7681".
  [[nodiscard]] std::string listening() const;
  /// After open(): only this machine reaches it.
  [[nodiscard]] bool loopback_only() const;

 private:
  struct Listener;
  boost::asio::awaitable<void> accept_loop();

  boost::asio::any_io_executor executor_;
  Options options_;
  Handler handler_;
  std::unique_ptr<Listener> listener_;
  std::size_t connections_ = 0;
  task::Group group_;
};

}  // namespace holdfast::http
