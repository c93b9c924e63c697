#pragma once
/// Opening TCP connections to a server: names, source ports, socket options.
///
/// Thread: the loop's thread only.

#include "holdfast/base/result.h"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace holdfast::fs::nfs3::rpc {

using Socket = boost::asio::ip::tcp::socket;
using Addresses = std::vector<boost::asio::ip::address>;

/// The local port of one connection, kept over reconnects: servers look up repeated calls in their
/// duplicate request cache by client address and port (knfsd: fs/nfsd/nfscache.c; ganesha:
/// src/RPCAL/nfs_dupreq.c).
struct SourcePort {
  std::uint16_t port = 0;  ///< 0 = not chosen yet
  bool reserved = true;    ///< try 665..1023 first ("secure" exports want a reserved port)
};

struct SocketOptions {
  std::chrono::milliseconds connect_timeout{10'000};
  /// TCP_USER_TIMEOUT: how long the kernel may keep sending what the server does not acknowledge.
  /// Bounds what leaves after this process was frozen (docs/reliability.md).
  std::chrono::milliseconds unacked_max{3'000};
  int send_buffer = 1 << 20;  ///< bytes the kernel may hold
};

/// The addresses of a host name or literal.
[[nodiscard]] boost::asio::awaitable<Result<Addresses>> resolve(
    boost::asio::any_io_executor executor, std::string host);

/// Connects from `source`, which is chosen on the first call and forgotten when it cannot be used
/// any more. Closing the socket resets the connection (SO_LINGER 0): nothing queued is sent, the
/// port is free at once. That holds for the last descriptor only: a guarded socket is aborted first
/// (fs/guard/abort_connection.h).
[[nodiscard]] boost::asio::awaitable<Result<Socket>> open_socket(
    boost::asio::any_io_executor executor, boost::asio::ip::tcp::endpoint server,
    SourcePort& source, SocketOptions options);

}  // namespace holdfast::fs::nfs3::rpc
