#pragma once
/// A Stream over TLS over a TCP socket.
///
/// OpenSSL works on the socket itself: asio::ssl::stream puts 70 KiB of buffers between the two for
/// each connection, idle or not.

#include "holdfast/wire/tls.h"
#include "lib/wire/socket_stream.h"

#include <memory>
#include <string>

struct ssl_st;

namespace holdfast::wire {

class TlsStream final : public Stream {
 public:
  /// The mount's end of `socket`, which is connected to `host`: a name, or a number.
  [[nodiscard]] static Result<std::unique_ptr<TlsStream>> to(StreamSocket socket, std::string peer,
                                                             const Tls& tls,
                                                             const std::string& host);
  /// lockd's end.
  [[nodiscard]] static Result<std::unique_ptr<TlsStream>> from(StreamSocket socket,
                                                               std::string peer, const Tls& tls);

  /// First of all. Errors: tls.h, the kernel's, kClosed.
  [[nodiscard]] boost::asio::awaitable<Result<void>> handshake(TlsTurn turn);

  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<std::byte> room) override;
  boost::asio::awaitable<Result<void>> write_all(std::span<const std::byte> bytes) override;
  void close() override;
  [[nodiscard]] const std::string& peer() const override { return peer_; }
  [[nodiscard]] Proof proof() const override;

 private:
  TlsStream(StreamSocket socket, std::string peer)
      : socket_(std::move(socket)), peer_(std::move(peer)) {}
  [[nodiscard]] static Result<std::unique_ptr<TlsStream>> make(StreamSocket socket,
                                                               std::string peer, const Tls& tls);
  [[nodiscard]] ErrorCode failure(int why);
  [[nodiscard]] boost::asio::awaitable<Result<void>> ready_for(int why);

  StreamSocket socket_;
  std::string peer_;
  std::shared_ptr<ssl_st> ssl_;
  bool failed_ = false;  // OpenSSL allows nothing more
};

}  // namespace holdfast::wire
