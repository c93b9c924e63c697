#include "lib/wire/socket_stream.h"

#include "holdfast/wire/errc.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

namespace asio = boost::asio;

namespace holdfast::wire {
namespace {

void set_option(int fd, int level, int name, int value) {
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

}  // namespace

SocketStream::SocketStream(StreamSocket socket, std::string peer, Channel channel)
    : socket_(std::move(socket)), peer_(std::move(peer)), channel_(channel) {}

asio::awaitable<Result<std::size_t>> SocketStream::read_some(std::span<std::byte> room) {
  auto [error, bytes] = co_await socket_.async_read_some(asio::buffer(room.data(), room.size()),
                                                         asio::as_tuple(asio::use_awaitable));
  if (error == asio::error::eof) co_return make_error_code(WireErrc::kClosed);
  if (error) co_return error;
  co_return bytes;
}

asio::awaitable<Result<void>> SocketStream::write_all(std::span<const std::byte> bytes) {
  auto [error, written] = co_await asio::async_write(
      socket_, asio::buffer(bytes.data(), bytes.size()), asio::as_tuple(asio::use_awaitable));
  static_cast<void>(written);
  if (error) co_return error;
  co_return boost::system::in_place_value;
}

void SocketStream::close() {
  ErrorCode ignored;
  socket_.close(ignored);
}

void tune(StreamSocket& socket, const StreamOptions& options) {
  const int fd = socket.native_handle();
  int domain = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain == AF_UNIX) return;
  const auto limit = static_cast<int>(options.unacknowledged_max.count());
  const int probe_seconds = std::max(1, limit / 3000);
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, probe_seconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, probe_seconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, limit);  // overrides KEEPCNT, see tcp(7)
}

Channel channel_to(const asio::generic::stream_protocol::endpoint& endpoint) {
  if (endpoint.data()->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, endpoint.data(), sizeof v4);
    return (ntohl(v4.sin_addr.s_addr) >> 24) == 127 ? Channel::kLoopback : Channel::kPlain;
  }
  if (endpoint.data()->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, endpoint.data(), sizeof v6);
    return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ? Channel::kLoopback : Channel::kPlain;
  }
  return Channel::kUnix;
}

std::string describe(const asio::generic::stream_protocol::endpoint& endpoint) {
  char text[INET6_ADDRSTRLEN] = "";
  if (endpoint.data()->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, endpoint.data(), sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return fmt::format("{}:{}", text, ntohs(v4.sin_port));
  }
  if (endpoint.data()->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, endpoint.data(), sizeof v6);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return fmt::format("[{}]:{}", text, ntohs(v6.sin6_port));
  }
  return "unix";
}

Result<std::unique_ptr<Stream>> stream_of(const asio::any_io_executor& executor,
                                          UniqueFd connected) {
  StreamSocket socket(executor);
  ErrorCode error;
  socket.assign(asio::generic::stream_protocol(AF_UNIX, 0), connected.get(), error);
  if (error) return error;
  static_cast<void>(connected.release());
  return std::unique_ptr<Stream>(
      std::make_unique<SocketStream>(std::move(socket), "pair", Channel::kUnix));
}

}  // namespace holdfast::wire
