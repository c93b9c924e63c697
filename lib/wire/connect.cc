#include "holdfast/wire/errc.h"
#include "holdfast/wire/stream.h"
#include "lib/wire/socket_stream.h"
#include "lib/wire/tls_stream.h"

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

  // What was connected to, over which there is TLS now.
  asio::awaitable<Result<void>> secure(const Tls& tls, std::string peer, std::string host) {
    auto made = TlsStream::to(std::move(socket_), std::move(peer), tls, host);
    socket_ = StreamSocket(timer_.get_executor());
    if (!made) co_return made.error();
    tls_ = *std::move(made);
    const TlsTurn alone;
    const auto secured = co_await tls_->handshake(alone);
    if (!secured) co_return failure(secured.error());
    co_return boost::system::in_place_value;
  }

  [[nodiscard]] bool given_up() const { return given_up_; }
  [[nodiscard]] StreamSocket& socket() { return socket_; }
  [[nodiscard]] std::unique_ptr<Stream> take(const std::string& peer, const Endpoint& endpoint) {
    timer_.cancel();
    if (tls_) return std::move(tls_);
    return std::make_unique<SocketStream>(std::move(socket_), peer, channel_to(endpoint));
  }

 private:
  void give_up() {
    given_up_ = true;
    resolver_.cancel();
    ErrorCode ignored;
    socket_.close(ignored);
    if (tls_) tls_->close();
  }
  [[nodiscard]] ErrorCode failure(ErrorCode error) const {
    return given_up_ ? ErrorCode(make_error_code(WireErrc::kStalled)) : error;
  }

  StreamSocket socket_;
  asio::ip::tcp::resolver resolver_;
  asio::steady_timer timer_;
  std::unique_ptr<TlsStream> tls_;
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
  const auto* tcp = std::get_if<TcpAddress>(&address);
  for (const Endpoint& endpoint : *endpoints) {
    auto connected = co_await attempt->connect(endpoint);
    if (connected) tune(attempt->socket(), options);
    if (connected && options.tls && tcp != nullptr)
      connected = co_await attempt->secure(*options.tls, to_string(address), tcp->host);
    if (connected && !attempt->given_up()) co_return attempt->take(to_string(address), endpoint);
    last = connected ? ErrorCode(make_error_code(WireErrc::kStalled)) : connected.error();
    if (attempt->given_up()) break;
  }
  co_return last;
}

}  // namespace holdfast::wire
