#pragma once
/// A Stream over a TCP or unix socket.

#include "holdfast/wire/stream.h"

#include <boost/asio/generic/stream_protocol.hpp>

namespace holdfast::wire {

using StreamSocket = boost::asio::generic::stream_protocol::socket;

class SocketStream final : public Stream {
 public:
  SocketStream(StreamSocket socket, std::string peer, Channel channel);
  boost::asio::awaitable<Result<std::size_t>> read_some(std::span<std::byte> room) override;
  boost::asio::awaitable<Result<void>> write_all(std::span<const std::byte> bytes) override;
  void close() override;
  [[nodiscard]] const std::string& peer() const override { return peer_; }
  [[nodiscard]] Proof proof() const override { return {channel_, {}}; }

 private:
  StreamSocket socket_;
  std::string peer_;
  Channel channel_;
};

/// TCP_NODELAY, keepalive, TCP_USER_TIMEOUT; nothing for a unix socket. Failures are ignored: they
/// cost time to notice a dead peer, never correctness.
void tune(StreamSocket& socket, const StreamOptions& options);

/// Of plain text to this address.
[[nodiscard]] Channel channel_to(const boost::asio::generic::stream_protocol::endpoint& endpoint);

/// "10.0.0.1:7680", "unix", for people.
[[nodiscard]] std::string describe(const boost::asio::generic::stream_protocol::endpoint& endpoint);

}  // namespace holdfast::wire
