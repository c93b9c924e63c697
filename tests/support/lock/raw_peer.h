#pragma once
/// A client of lockd that says exactly what a test tells it to, byte by byte if need be. Blocking,
/// every wait bounded.

#include "holdfast/base/unique_fd.h"
#include "holdfast/lock/message.h"
#include "holdfast/wire/address.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::support {

class RawPeer {
 public:
  static constexpr std::chrono::milliseconds kPatience{10'000};

  explicit RawPeer(const wire::Address& address);

  void send(const ClientMessage& message);
  void send_bytes(std::string_view bytes);
  /// The next message; nothing when lockd closed, or (with `within`) none came in time.
  std::optional<ServerMessage> receive(std::chrono::milliseconds within = kPatience);
  /// The next message must be a T. Throws std::runtime_error otherwise.
  template <class T>
  T expect() {
    auto message = receive();
    while (message && !std::is_same_v<T, Queued> && std::holds_alternative<Queued>(*message))
      message = receive();  // comes before many an answer, and is none
    if (!message) throw std::runtime_error("no message");
    if (auto* value = std::get_if<T>(&*message)) return std::move(*value);
    throw std::runtime_error("another message, index " + std::to_string(message->index()));
  }
  /// lockd closes the connection within `kPatience`; messages before that are dropped.
  bool closed_by_lockd();

  /// Hello, expecting Welcome.
  Welcome open_session();
  Welcome resume_session(const Welcome& earlier);
  /// Sends a request and gives its outcome, passing over other messages.
  Outcome ask(std::uint64_t number, Command command, std::uint64_t acknowledged = 0);

 private:
  UniqueFd fd_;
  wire::Codec codec_;
  wire::FrameBuffer incoming_;
};

/// A request as tests mostly need it: range lock of file 1.
[[nodiscard]] LockRequest lock_request(std::uint64_t owner, LockMode mode, Wait wait = Wait::kNo,
                                       ByteRange range = ByteRange::whole_file());
[[nodiscard]] UnlockRequest unlock_request(std::uint64_t owner,
                                           ByteRange range = ByteRange::whole_file());

}  // namespace holdfast::support
