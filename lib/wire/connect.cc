#include "holdfast/wire/errc.h"
#include "holdfast/wire/stream.h"
#include "lib/wire/socket_stream.h"

#include <cstdint>
#include <vector>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::wire {
namespace {

using Endpoint = asio::generic::stream_protocol::endpoint;

// One attempt to reach an address. A timer closes what is under way, so that a black hole costs no
// more than the time allowed.
class Attempt : public std::enable_shared_from_this<Attempt> {
 public:
  explicit Attempt(const asio::any_io_executor& executor)
      : socket_(executor), resolver_(executor), timer_(executor) {}

  void limit(std::chrono::milliseconds timeout) {
    timer_.expires_after(timeout);
    timer_.async_wait([weak = weak_from_this()](ErrorCode error) {
      if (const auto self = weak.lock(); self && !error) self->give_up();
    });
  }

  asio::awaitable<Result<std::vector<Endpoint>>> resolve(Address address) {
    if (const auto* local = std::get_if<UnixAddress>(&address)) {
      co_return std::vector<Endpoint>(1, asio::local::stream_protocol::endpoint(local->path));
    }
    const auto& tcp = std::get<TcpAddress>(address);
    auto [error, found] = co_await resolver_.async_resolve(tcp.host, std::to_string(tcp.port),
                                                           asio::as_tuple(asio::use_awaitable));
    if (error) co_return failure(error);
    std::vector<Endpoint> endpoints;
    for (const auto& entry : found)
      endpoints.emplace_back(entry.endpoint());
    co_return endpoints;
  }

  asio::awaitable<Result<void>> connect(Endpoint endpoint) {
    ErrorCode ignored;
    socket_.close(ignored);
    auto [error] = co_await socket_.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
    if (error) co_return failure(error);
    co_return boost::system::in_place_value;
  }

  [[nodiscard]] bool given_up() const { return given_up_; }
  StreamSocket take_socket() {
    timer_.cancel();
    return std::move(socket_);
  }

 private:
  void give_up() {
    given_up_ = true;
    resolver_.cancel();
    ErrorCode ignored;
    socket_.close(ignored);
  }
  [[nodiscard]] ErrorCode failure(ErrorCode error) const {
    return given_up_ ? ErrorCode(make_error_code(WireErrc::kStalled)) : error;
  }

  StreamSocket socket_;
  asio::ip::tcp::resolver resolver_;
  asio::steady_timer timer_;
  bool given_up_ = false;
};

}  // namespace

asio::awaitable<Result<std::unique_ptr<Stream>>> connect(Address address, StreamOptions options,
                                                         std::chrono::milliseconds timeout) {
  // Shared with the timer's handler, which may run after this coroutine was cancelled.
  const auto attempt = std::make_shared<Attempt>(co_await asio::this_coro::executor);
  attempt->limit(timeout);
  const auto endpoints = co_await attempt->resolve(address);
  if (!endpoints) co_return endpoints.error();
  ErrorCode last = make_error_code(WireErrc::kClosed);
  for (const Endpoint& endpoint : *endpoints) {
    const auto connected = co_await attempt->connect(endpoint);
    if (connected && !attempt->given_up()) {
      StreamSocket socket = attempt->take_socket();
      tune(socket, options);
      co_return std::make_unique<SocketStream>(std::move(socket), to_string(address));
    }
    last = connected ? ErrorCode(make_error_code(WireErrc::kStalled)) : connected.error();
    if (attempt->given_up()) break;
  }
  co_return last;
}

}  // namespace holdfast::wire
