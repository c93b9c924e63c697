#include "lib/wire/accepted_stream.h"

#include "holdfast/wire/errc.h"
#include "lib/wire/tls_stream.h"

#include <cerrno>
#include <utility>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>

namespace asio = boost::asio;

namespace holdfast::wire {
namespace {

constexpr unsigned char kTlsHandshake = 22;  // RFC 8446, section 5.1

}  // namespace

AcceptedStream::AcceptedStream(StreamSocket socket, std::string peer, Channel plain,
                               std::shared_ptr<Tls> tls, TlsTurn turn)
    : socket_(std::move(socket)),
      peer_(std::move(peer)),
      plain_(plain),
      tls_(std::move(tls)),
      turn_(std::move(turn)) {}

asio::awaitable<Result<void>> AcceptedStream::settle() {
  unsigned char first = 0;
  for (;;) {
    auto [error] =
        co_await socket_->async_wait(StreamSocket::wait_read, asio::as_tuple(asio::use_awaitable));
    if (error) co_return error;
    if (!socket_->is_open()) co_return make_error_code(WireErrc::kClosed);
    const ssize_t seen = ::recv(socket_->native_handle(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (seen == 1) break;
    if (seen == 0) co_return make_error_code(WireErrc::kClosed);
    if (errno != EAGAIN && errno != EINTR) co_return errno_code(errno);
  }
  if (first != kTlsHandshake) {
    inner_ = std::make_unique<SocketStream>(*std::move(socket_), peer_, plain_);
    socket_.reset();
    co_return boost::system::in_place_value;
  }
  auto made = TlsStream::from(*std::move(socket_), peer_, *tls_);
  socket_.reset();
  if (!made) co_return made.error();
  TlsStream& stream = **made;
  inner_ = *std::move(made);
  co_return co_await stream.handshake(turn_);
}

asio::awaitable<Result<std::size_t>> AcceptedStream::read_some(std::span<std::byte> room) {
  if (!inner_) {
    const auto settled = co_await settle();
    if (!settled) co_return settled.error();
  }
  co_return co_await inner_->read_some(room);
}

asio::awaitable<Result<void>> AcceptedStream::write_all(std::span<const std::byte> bytes) {
  if (!inner_) co_return make_error_code(WireErrc::kOutOfPlace);
  co_return co_await inner_->write_all(bytes);
}

void AcceptedStream::close() {
  if (inner_) return inner_->close();
  if (!socket_) return;
  ErrorCode ignored;
  socket_->close(ignored);
}

Proof AcceptedStream::proof() const {
  return inner_ ? inner_->proof() : Proof{};
}

}  // namespace holdfast::wire
