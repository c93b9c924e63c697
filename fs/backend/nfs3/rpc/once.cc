#include "fs/backend/nfs3/rpc/once.h"

#include <random>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <netinet/in.h>
#include <nfsc/libnfs-zdr.h>

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace asio::experimental::awaitable_operators;

namespace holdfast::fs::nfs3::rpc {
namespace {

constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);
constexpr std::uint16_t kPortmapPort = 111;
constexpr Procedure kGetPort{.program = 100000, .version = 2, .number = 3};

asio::awaitable<Result<Reply>> exchange(Socket& socket, const Message& message) {
  const auto [unsent, sent] =
      co_await asio::async_write(socket, asio::buffer(message.head), kTuple);
  if (unsent) co_return unsent;
  RecordParser parser;
  for (;;) {
    const auto space = parser.space();
    const auto [failed, size] =
        co_await socket.async_read_some(asio::buffer(space.data(), space.size()), kTuple);
    if (failed) co_return failed;
    if (!parser.commit(size)) co_return errno_code(EBADMSG);
    while (auto record = parser.take()) {
      Reply reply;
      Reader reader(record->bytes());
      if (!read_reply_header(reader, reply.header)) co_return errno_code(EBADMSG);
      if (reply.header.xid != message.xid()) continue;
      reply.body = record->size() - reader.remaining();
      reply.record = std::move(*record);
      co_return reply;
    }
  }
}

asio::awaitable<void> expire(asio::any_io_executor executor, std::chrono::milliseconds time) {
  asio::steady_timer timer(executor, time);
  co_await timer.async_wait(kTuple);
}

}  // namespace

asio::awaitable<Result<Reply>> call_once(asio::any_io_executor executor, tcp::endpoint server,
                                         Message message, SocketOptions options) {
  SourcePort source;
  auto socket = co_await open_socket(executor, server, source, options);
  if (!socket) co_return socket.error();
  message.set_xid(static_cast<std::uint32_t>(std::random_device{}()));
  auto outcome = co_await (exchange(*socket, message) || expire(executor, options.connect_timeout));
  if (outcome.index() == 1) co_return errno_code(ETIMEDOUT);
  co_return std::move(std::get<0>(outcome));
}

asio::awaitable<Result<std::uint16_t>> ask_portmapper(asio::any_io_executor executor,
                                                      asio::ip::address server,
                                                      std::uint32_t program, std::uint32_t version,
                                                      SocketOptions options) {
  const Credentials nobody_special;
  MessageWriter writer(kGetPort, nobody_special, 16);
  std::uint32_t protocol = IPPROTO_TCP;
  std::uint32_t port = 0;
  writer.add(libnfs_zdr_u_int, program).add(libnfs_zdr_u_int, version);
  writer.add(libnfs_zdr_u_int, protocol).add(libnfs_zdr_u_int, port);
  const tcp::endpoint portmapper(server, kPortmapPort);
  auto message = writer.finish();
  auto reply = co_await call_once(executor, portmapper, std::move(message), options);
  if (!reply) co_return reply.error();
  auto reader = reply->reader();
  const std::uint32_t answer = reader.u32();
  if (reply->header.outcome != Outcome::kSuccess || !reader.ok() || answer > 65535)
    co_return errno_code(EBADMSG);
  co_return static_cast<std::uint16_t>(answer);
}

}  // namespace holdfast::fs::nfs3::rpc
