#include "holdfast/wire/codec.h"

#include "holdfast/wire/errc.h"
#include "holdfast/wire/frame.h"
#include "lib/wire/convert.h"

#include <array>

#include <google/protobuf/arena.h>

namespace holdfast::wire {

// Messages are built in an arena whose first block is ours: the common ones cost no allocation.
struct Codec::Scratch {
  static constexpr std::size_t kBlockSize = 8192;

  alignas(16) std::array<char, kBlockSize> block;
  google::protobuf::Arena arena{[this] {
    google::protobuf::ArenaOptions options;
    options.initial_block = block.data();
    options.initial_block_size = block.size();
    return options;
  }()};

  template <class Message>
  Message& fresh() {
    arena.Reset();
    return *google::protobuf::Arena::CreateMessage<Message>(&arena);
  }

  template <class Message, class Value>
  Result<void> append(std::string& out, const Value& value) {
    auto& message = fresh<Message>();
    to_pb(value, message);
    const std::size_t size = message.ByteSizeLong();
    if (size > kFrameSizeMax) return make_error_code(WireErrc::kFrameTooLarge);
    const std::size_t start = out.size();
    out.resize(start + kFrameHeaderSize + size);
    auto* bytes = reinterpret_cast<std::uint8_t*>(out.data()) + start;
    for (std::size_t i = 0; i < kFrameHeaderSize; ++i) {
      bytes[i] = static_cast<std::uint8_t>(size >> (8 * (kFrameHeaderSize - 1 - i)));
    }
    message.SerializeWithCachedSizesToArray(bytes + kFrameHeaderSize);
    return boost::system::in_place_value;
  }

  template <class Value, class Message>
  Result<Value> decode(std::span<const std::byte> body) {
    auto& message = fresh<Message>();
    if (body.size() > kFrameSizeMax ||
        !message.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
      return make_error_code(WireErrc::kMalformed);
    }
    auto value = from_pb(message);
    if (!value) return make_error_code(WireErrc::kMalformed);
    return *std::move(value);
  }
};

Codec::Codec() : scratch_(std::make_unique<Scratch>()) {}
Codec::~Codec() = default;

Result<void> Codec::append_frame(std::string& out, const ClientMessage& message) {
  return scratch_->append<pb::ClientMessage>(out, message);
}

Result<void> Codec::append_frame(std::string& out, const ServerMessage& message) {
  return scratch_->append<pb::ServerMessage>(out, message);
}

Result<ClientMessage> Codec::decode_client(std::span<const std::byte> body) {
  return scratch_->decode<ClientMessage, pb::ClientMessage>(body);
}

Result<ServerMessage> Codec::decode_server(std::span<const std::byte> body) {
  return scratch_->decode<ServerMessage, pb::ServerMessage>(body);
}

}  // namespace holdfast::wire
