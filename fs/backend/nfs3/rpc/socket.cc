#include "fs/backend/nfs3/rpc/socket.h"

#include <random>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <netinet/tcp.h>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace asio::experimental::awaitable_operators;

namespace holdfast::fs::nfs3::rpc {
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::uint16_t kReservedFirst =
    665;  // as the kernel's client: below are well-known services
constexpr std::uint16_t kReservedLast = 1023;

/// Binds to a free reserved port; EACCES without the privilege, EADDRINUSE when none is free.
ErrorCode bind_reserved(Socket& socket, const asio::ip::address& any) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  constexpr unsigned kCount = kReservedLast - kReservedFirst + 1;
  const unsigned start = static_cast<unsigned>(random() % kCount);
  ErrorCode failed;
  for (unsigned i = 0; i < kCount; ++i) {
    const auto port = static_cast<std::uint16_t>(kReservedFirst + (start + i) % kCount);
    socket.bind(tcp::endpoint(any, port), failed);
    if (failed != asio::error::address_in_use) return failed;
  }
  return failed;
}

/// A new port is taken without SO_REUSEADDR, so that it is nobody else's; the option is set
/// afterwards, and when the same port is taken again, because the old connection may linger in the
/// kernel.
void bind_source(Socket& socket, const asio::ip::address& any, SourcePort& source) {
  ErrorCode failed;
  if (source.port != 0) {
    socket.set_option(asio::socket_base::reuse_address(true), failed);
    socket.bind(tcp::endpoint(any, source.port), failed);
    if (!failed) return;
    source.port = 0;
    socket.set_option(asio::socket_base::reuse_address(false), failed);
  }
  if (source.reserved && bind_reserved(socket, any)) source.reserved = false;
  socket.set_option(asio::socket_base::reuse_address(true), failed);
}

void set_options(Socket& socket, const SocketOptions& options) {
  using UserTimeout = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_USER_TIMEOUT>;
  using KeepIdle = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
  using KeepInterval = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
  using KeepCount = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPCNT>;
  // Past net.core.wmem_max (208 KiB where nobody raised it), for who may.
  using SendBufferForce = asio::detail::socket_option::integer<SOL_SOCKET, SO_SNDBUFFORCE>;
  ErrorCode ignored;  // each is an improvement, none a condition
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  socket.set_option(KeepIdle(30), ignored);
  socket.set_option(KeepInterval(10), ignored);
  socket.set_option(KeepCount(3), ignored);
  socket.set_option(UserTimeout(static_cast<int>(options.unacked_max.count())), ignored);
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  // The kernel doubles the figure for its own needs (socket(7)).
  socket.set_option(SendBufferForce(options.send_buffer / 2), ignored);
  if (ignored) {
    socket.set_option(asio::socket_base::send_buffer_size(options.send_buffer / 2), ignored);
  }
}

asio::awaitable<ErrorCode> connect(Socket& socket, tcp::endpoint server) {
  const auto [failed] = co_await socket.async_connect(server, kTuple);
  co_return failed;
}

asio::awaitable<void> sleep(asio::any_io_executor executor, std::chrono::milliseconds time) {
  asio::steady_timer timer(executor, time);
  co_await timer.async_wait(kTuple);
}

}  // namespace

asio::awaitable<Result<Addresses>> resolve(asio::any_io_executor executor, std::string host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  ErrorCode failed;
  Addresses addresses;
  const auto literal = asio::ip::make_address(host, failed);
  if (!failed) {
    addresses.push_back(literal);
    co_return addresses;
  }
  tcp::resolver resolver(executor);
  const auto [error, found] = co_await resolver.async_resolve(host, "", kTuple);
  if (error) co_return error;
  for (const auto& entry : found)
    addresses.push_back(entry.endpoint().address());
  co_return addresses;
}

asio::awaitable<Result<Socket>> open_socket(asio::any_io_executor executor, tcp::endpoint server,
                                            SourcePort& source, SocketOptions options) {
  Socket socket(executor);
  ErrorCode failed;
  socket.open(server.protocol(), failed);
  if (failed) co_return failed;
  // A child that inherited the socket would keep its port pair busy after we closed it.
  (void)::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  set_options(socket, options);
  const asio::ip::address any = server.address().is_v6()
                                    ? asio::ip::address(asio::ip::address_v6::any())
                                    : asio::ip::address(asio::ip::address_v4::any());
  bind_source(socket, any, source);
  const auto outcome =
      co_await (connect(socket, server) || sleep(executor, options.connect_timeout));
  failed = outcome.index() == 0 ? std::get<0>(outcome) : make_error_code(asio::error::timed_out);
  if (failed) {
    // Somebody else's connection from this port to this server: take another port next time.
    if (failed == asio::error::address_in_use || failed.value() == EADDRNOTAVAIL) source.port = 0;
    co_return failed;
  }
  ErrorCode ignored;
  source.port = socket.local_endpoint(ignored).port();
  socket.non_blocking(true, ignored);
  co_return std::move(socket);
}

}  // namespace holdfast::fs::nfs3::rpc
