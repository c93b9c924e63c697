#include "cli/bench/attack_peer.h"

#include "cli/bench/attack.h"

#include <chrono>
#include <thread>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace holdfast::bench {
namespace {

constexpr timeval kPatience{.tv_sec = 5, .tv_usec = 0};
constexpr std::chrono::milliseconds kAfterFailure{10};
constexpr std::uint64_t kBatch = 256;

}  // namespace

AttackPeer::AttackPeer(const wire::TcpAddress& lockd)
    : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  // No TIME_WAIT: thousands a second would use up the ports of this machine.
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  const int on = 1;
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(lockd.port);
  ::inet_pton(AF_INET, lockd.host.c_str(), &name.sin_addr);
  if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
    fd_.reset();
    std::this_thread::sleep_for(kAfterFailure);
  }
}

bool AttackPeer::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool AttackPeer::send(const ClientMessage& message) {
  std::string bytes;
  return codec_.append_frame(bytes, message) && send(bytes);
}

void AttackPeer::hang_up_and_wait() {
  ::shutdown(fd_.get(), SHUT_WR);
  wait_closed();
}

void AttackPeer::wait_closed() {
  char dropped[4096];
  while (::recv(fd_.get(), dropped, sizeof dropped, 0) > 0) {
  }
}

std::optional<ServerMessage> AttackPeer::receive() {
  for (;;) {
    const auto body = incoming_.next();
    if (!body) return std::nullopt;
    if (*body) {
      auto message = codec_.decode_server(**body);
      if (!message) return std::nullopt;
      return *std::move(message);
    }
    const auto room = incoming_.prepare();
    const ssize_t count = ::recv(fd_.get(), room.data(), room.size(), 0);
    if (count <= 0) return std::nullopt;
    incoming_.commit(static_cast<std::size_t>(count));
  }
}

std::optional<Welcome> AttackPeer::greet(const Hello& hello) {
  if (!connected() || !send(ClientMessage(hello))) return std::nullopt;
  auto answer = receive();
  auto* welcome = answer ? std::get_if<Welcome>(&*answer) : nullptr;
  if (welcome == nullptr) return std::nullopt;
  return std::move(*welcome);
}

std::string header(std::uint32_t length) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(length >> shift);
  return out;
}

std::string framed(std::string_view body) {
  return header(static_cast<std::uint32_t>(body.size())) + std::string(body);
}

std::string AttackCalls::encode(const std::function<Command(std::uint64_t)>& next) {
  std::string bytes;
  for (std::uint64_t i = 0; i < kBatch; ++i) {
    ++last_;
    static_cast<void>(
        codec_.append_frame(bytes, ClientMessage(Request{{last_}, {acknowledged_}, next(last_)})));
  }
  return bytes;
}

bool AttackCalls::read_replies(std::size_t count) {
  while (count > 0) {
    const auto message = peer_.receive();
    if (!message) return false;
    if (std::holds_alternative<Reply>(*message)) --count;
  }
  return true;
}

bool AttackCalls::batch(const std::function<Command(std::uint64_t)>& next, AttackCounts& counts) {
  if (!peer_.send(encode(next))) return false;
  under_way_ += kBatch;
  if (under_way_ == kBatch) return true;
  if (!read_replies(kBatch)) return false;
  under_way_ -= kBatch;
  acknowledged_ = last_ - under_way_;
  counts.done += kBatch;
  return true;
}

bool AttackCalls::batch_unanswered(const std::function<Command(std::uint64_t)>& next,
                                   AttackCounts& counts) {
  if (!peer_.send(encode(next))) return false;
  counts.done += kBatch;
  char dropped[65536];
  while (::recv(peer_.fd(), dropped, sizeof dropped, MSG_DONTWAIT) > 0) {
  }
  return true;
}

}  // namespace holdfast::bench
