#include "tests/support/tls/tls_peer.h"

#include "holdfast/wire/errc.h"

#include <span>

namespace holdfast::support {

TlsPeer::TlsPeer(const wire::Address& address, const wire::TlsFiles& files) {
  auto tls = wire::Tls::open(wire::Tls::Side::kMount, files);
  if (!tls) throw std::runtime_error(tls.error().what);
  wire::StreamOptions options;
  options.tls = *std::move(tls);
  auto stream = loop_.run(wire::connect(address, options, DrivenLoop::kPatience));
  if (stream) {
    stream_ = *std::move(stream);
  } else {
    error_ = stream.error();
  }
}

void TlsPeer::send(const ClientMessage& message) {
  std::string bytes;
  if (!codec_.append_frame(bytes, message)) throw std::runtime_error("not encodable");
  send_bytes(bytes);
}

void TlsPeer::send_bytes(std::string_view bytes) {
  if (!stream_) return;
  // Closed by lockd: receive() will tell.
  static_cast<void>(loop_.run(stream_->write_all(std::as_bytes(std::span(bytes)))));
}

std::optional<ServerMessage> TlsPeer::receive() {
  while (stream_ && !error_) {
    const auto body = incoming_.next();
    if (!body) throw std::runtime_error("lockd sent a frame that is too large");
    if (*body) {
      auto message = codec_.decode_server(**body);
      if (!message) throw std::runtime_error("lockd sent what is no message");
      if (std::holds_alternative<Queued>(*message)) continue;
      return *std::move(message);
    }
    const auto bytes = loop_.run(stream_->read_some(incoming_.prepare()));
    if (bytes) incoming_.commit(*bytes);
    if (!bytes) error_ = bytes.error();
  }
  return std::nullopt;
}

bool TlsPeer::closed_by_lockd() {
  while (receive()) {
  }
  return error_.failed();
}

void TlsPeer::greet(std::uint8_t volume, const std::string& token, Hello hello) {
  hello.volume = volume_of(volume);
  hello.token = token;
  send(hello);
}

Welcome TlsPeer::open(std::uint8_t volume, const std::string& token) {
  greet(volume, token);
  return expect<Welcome>();
}

HelloRefused TlsPeer::refused(std::uint8_t volume, const std::string& token, Hello hello) {
  greet(volume, token, std::move(hello));
  return expect<HelloRefused>();
}

Outcome TlsPeer::ask(std::uint64_t number, Command command) {
  send(Request{{number}, {0}, std::move(command)});
  return expect<Reply>().outcome;
}

VolumeId volume_of(std::uint8_t last_byte) {
  VolumeId out{};
  out.back() = last_byte;
  return out;
}

}  // namespace holdfast::support
