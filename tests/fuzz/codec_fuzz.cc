// libFuzzer: any bytes give a message or an error; what decodes survives another round trip
// unchanged.
//
// First byte: 0 = a client's message, 1 = lockd's message, else a stream of frames that arrive in
// pieces of that many bytes.
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace wire = holdfast::wire;

namespace {

wire::Codec& codec() {
  static wire::Codec instance;
  return instance;
}

std::span<const std::byte> body_of(const std::string& frame) {
  return std::as_bytes(std::span(frame)).subspan(wire::kFrameHeaderSize);
}

template <class Message, class Decode>
void round_trip(const Message& message, Decode decode) {
  std::string once;
  // A message just below the limit may grow: an open-ended range is shorter on the wire as 0 only
  // if it was sent so. Refused is an answer too.
  if (!codec().append_frame(once, message)) return;
  const auto again = decode(body_of(once));
  if (!again) std::abort();
  std::string twice;
  if (!codec().append_frame(twice, *again) || once != twice) std::abort();
}

void client(std::span<const std::byte> body) {
  const auto decode = [](auto bytes) { return codec().decode_client(bytes); };
  if (const auto message = decode(body)) round_trip(*message, decode);
}

void server(std::span<const std::byte> body) {
  const auto decode = [](auto bytes) { return codec().decode_server(bytes); };
  if (const auto message = decode(body)) round_trip(*message, decode);
}

void stream(std::span<const std::byte> bytes, std::size_t piece) {
  wire::FrameBuffer buffer;
  while (!bytes.empty()) {
    const auto room = buffer.prepare();
    const std::size_t count = std::min({piece, room.size(), bytes.size()});
    std::memcpy(room.data(), bytes.data(), count);
    buffer.commit(count);
    bytes = bytes.subspan(count);
    for (;;) {
      const auto frame = buffer.next();
      if (!frame) return;
      if (!*frame) break;
      client(**frame);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] == 0) {
    client(rest);
  } else if (data[0] == 1) {
    server(rest);
  } else {
    stream(rest, data[0]);
  }
  return 0;
}
