#pragma once
/// A connection of an attacker: says any bytes, blocking, every wait bounded by five seconds.

#include "holdfast/base/unique_fd.h"
#include "holdfast/lock/message.h"
#include "holdfast/wire/address.h"
#include "holdfast/wire/codec.h"
#include "holdfast/wire/frame.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::bench {

struct AttackCounts;

class AttackPeer {
 public:
  /// Connects. Where that fails it waits a moment, so that whoever tries again does not spin.
  explicit AttackPeer(const wire::TcpAddress& lockd);

  [[nodiscard]] bool connected() const { return static_cast<bool>(fd_); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// False: lockd closed, or took nothing for so long.
  bool send(std::string_view bytes);
  bool send(const ClientMessage& message);
  /// No more will be said; waits for lockd to close.
  void hang_up_and_wait();
  /// Waits for lockd to close.
  void wait_closed();
  /// The next message; nothing when lockd closed or nothing came for so long.
  std::optional<ServerMessage> receive();
  std::optional<Welcome> greet(const Hello& hello);

 private:
  UniqueFd fd_;
  wire::Codec codec_;
  wire::FrameBuffer incoming_;
};

/// A length, and that many bytes.
[[nodiscard]] std::string framed(std::string_view body);
/// Only the header of a frame.
[[nodiscard]] std::string header(std::uint32_t length);

/// A session that asks as fast as it can, two batches under way, reads and acknowledges answers.
class AttackCalls {
 public:
  explicit AttackCalls(const wire::TcpAddress& lockd) : peer_(lockd) {}
  [[nodiscard]] bool open() { return peer_.greet({}).has_value(); }
  /// False: the connection is gone. `next` gets the number of the call.
  bool batch(const std::function<Command(std::uint64_t)>& next, AttackCounts& counts);
  /// The same without reading an answer: for calls that are not answered. The kernel's buffers
  /// take what lockd says.
  bool batch_unanswered(const std::function<Command(std::uint64_t)>& next, AttackCounts& counts);

 private:
  std::string encode(const std::function<Command(std::uint64_t)>& next);
  bool read_replies(std::size_t count);

  AttackPeer peer_;
  wire::Codec codec_;
  std::uint64_t last_ = 0;          // number asked
  std::uint64_t acknowledged_ = 0;  // all up to it were answered
  std::size_t under_way_ = 0;
};

}  // namespace holdfast::bench
