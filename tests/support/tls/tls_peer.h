#pragma once
/// A client of lockd over TLS that says exactly what a test tells it to. Every wait is bounded.

#include "holdfast/lock/message.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"
#include "holdfast/wire/stream.h"
#include "holdfast/wire/tls.h"
#include "tests/support/lock/driven_loop.h"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace holdfast::support {

class TlsPeer {
 public:
  TlsPeer(const wire::Address& address, const wire::TlsFiles& files);

  /// Of the handshake; with TLS 1.3 lockd's word on our certificate comes later, with receive().
  [[nodiscard]] ErrorCode handshake() const { return error_; }
  void send(const ClientMessage& message);
  void send_bytes(std::string_view bytes);
  /// The next message; nothing when the connection has ended: error() says how.
  std::optional<ServerMessage> receive();
  [[nodiscard]] ErrorCode error() const { return error_; }
  template <class T>
  T expect() {
    auto message = receive();
    if (!message) throw std::runtime_error("no message: " + error_.message());
    if (auto* value = std::get_if<T>(&*message)) return std::move(*value);
    throw std::runtime_error("another message, index " + std::to_string(message->index()));
  }
  /// Messages before that are dropped.
  bool closed_by_lockd();

  /// Hello of `volume` (its last byte) with `token`, and whatever else is in `hello`.
  void greet(std::uint8_t volume, const std::string& token, Hello hello = {});
  /// The same, expecting Welcome.
  Welcome open(std::uint8_t volume, const std::string& token);
  /// The same, expecting a refusal.
  HelloRefused refused(std::uint8_t volume, const std::string& token, Hello hello = {});
  Outcome ask(std::uint64_t number, Command command);

 private:
  DrivenLoop loop_;
  std::unique_ptr<wire::Stream> stream_;
  wire::Codec codec_;
  wire::FrameBuffer incoming_;
  ErrorCode error_;
};

[[nodiscard]] VolumeId volume_of(std::uint8_t last_byte);

}  // namespace holdfast::support
