#pragma once
/// One call on a connection of its own: portmap, MOUNT and the first ping. No retry; errors tell
/// what happened.
///
/// Thread: the loop's thread only.

#include "fs/backend/nfs3/rpc/connection.h"

namespace holdfast::fs::nfs3::rpc {

/// Errors: what connecting or receiving said (ECONNREFUSED, ETIMEDOUT after
/// options.connect_timeout, ...), EBADMSG for malformed data. The RPC outcome is in the reply's
/// header.
[[nodiscard]] boost::asio::awaitable<Result<Reply>> call_once(boost::asio::any_io_executor executor,
                                                              boost::asio::ip::tcp::endpoint server,
                                                              Message message,
                                                              SocketOptions options);

/// The TCP port of a program by the portmapper on port 111 (RFC 1833 section 3); 0 = not
/// registered.
[[nodiscard]] boost::asio::awaitable<Result<std::uint16_t>> ask_portmapper(
    boost::asio::any_io_executor executor, boost::asio::ip::address server, std::uint32_t program,
    std::uint32_t version, SocketOptions options);

}  // namespace holdfast::fs::nfs3::rpc
