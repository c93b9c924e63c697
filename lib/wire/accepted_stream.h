#pragma once
/// lockd's end of a TCP connection where TLS is on: the first byte tells TLS from plain text, whose
/// first byte is the upper one of a length, 0. So one that does not speak TLS hears from lockd, in
/// its own words, that it must.

#include "holdfast/wire/tls.h"
#include "lib/wire/socket_stream.h"

#include <memory>
#include <optional>
#include <string>

namespace holdfast::wire {

class AcceptedStream final : public Stream {
 public:
  AcceptedStream(StreamSocket socket, std::string peer, Channel plain, std::shared_ptr<Tls> tls,
                 TlsTurn turn);
  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<std::byte> room) override;
  /// kOutOfPlace before anything was read.
  boost::asio::awaitable<Result<void>> write_all(std::span<const std::byte> bytes) override;
  void close() override;
  [[nodiscard]] const std::string& peer() const override { return peer_; }
  [[nodiscard]] Proof proof() const override;

 private:
  boost::asio::awaitable<Result<void>> settle();

  std::optional<StreamSocket> socket_;  // until settled
  std::string peer_;
  Channel plain_;
  std::shared_ptr<Tls> tls_;
  TlsTurn turn_;
  std::unique_ptr<Stream> inner_;  // from then on
};

}  // namespace holdfast::wire
