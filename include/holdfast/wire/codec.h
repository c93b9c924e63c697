#pragma once
/// Messages to bytes and back.
///
/// Decoding is total: any bytes give a value or an error; every enum, range, number and size is
/// checked here, so that a decoded message keeps the promises of holdfast/lock/message.h. Encoding
/// then decoding gives the same value.
///
/// Thread: one owner; many connections share one codec (it only holds scratch memory).

#include "holdfast/base/result.h"
#include "holdfast/lock/message.h"

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace holdfast::wire {

class Codec {
 public:
  Codec();
  ~Codec();
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  /// Appends one frame, header included. kFrameTooLarge: larger than kFrameSizeMax; `out` is then
  /// unchanged. Values the protocol does not allow are encoded; the other side refuses them.
  [[nodiscard]] Result<void> append_frame(std::string& out, const ClientMessage& message);
  [[nodiscard]] Result<void> append_frame(std::string& out, const ServerMessage& message);

  /// `body` is a frame without its header. kMalformed.
  [[nodiscard]] Result<ClientMessage> decode_client(std::span<const std::byte> body);
  [[nodiscard]] Result<ServerMessage> decode_server(std::span<const std::byte> body);

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace holdfast::wire
