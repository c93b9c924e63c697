#include "tests/support/lock/raw_peer.h"

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace holdfast::support {
namespace {

UniqueFd connect_to(const wire::Address& address) {
  if (const auto* local = std::get_if<wire::UnixAddress>(&address)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, local->path.data(),
                std::min(local->path.size(), sizeof name.sun_path - 1));
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name) != 0) {
      throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
    }
    return fd;
  }
  const auto& tcp = std::get<wire::TcpAddress>(address);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(tcp.host.c_str(), std::to_string(tcp.port).c_str(), &hints, &found) != 0) {
    throw std::runtime_error("getaddrinfo failed");
  }
  UniqueFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int status = ::connect(fd.get(), found->ai_addr, found->ai_addrlen);
  ::freeaddrinfo(found);
  if (status != 0) throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  return fd;
}

}  // namespace

RawPeer::RawPeer(const wire::Address& address) : fd_(connect_to(address)) {}

void RawPeer::send(const ClientMessage& message) {
  std::string bytes;
  if (!codec_.append_frame(bytes, message)) throw std::runtime_error("not encodable");
  send_bytes(bytes);
}

void RawPeer::send_bytes(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // closed by lockd; receive() will tell
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::optional<ServerMessage> RawPeer::receive(std::chrono::milliseconds within) {
  const auto until = std::chrono::steady_clock::now() + within;
  for (;;) {
    const auto body = incoming_.next();
    if (!body) throw std::runtime_error("lockd sent a frame above the limit");
    if (*body) {
      auto message = codec_.decode_server(**body);
      if (!message) throw std::runtime_error("lockd sent a malformed message");
      return *std::move(message);
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (left.count() < 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) {
      return std::nullopt;
    }
    const auto room = incoming_.prepare();
    const ssize_t count = ::recv(fd_.get(), room.data(), room.size(), 0);
    if (count <= 0) return std::nullopt;
    incoming_.commit(static_cast<std::size_t>(count));
  }
}

bool RawPeer::closed_by_lockd() {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (left.count() < 0 || ::poll(&ready, 1, static_cast<int>(left.count())) <= 0) return false;
    char dropped[4096];
    if (::recv(fd_.get(), dropped, sizeof dropped, 0) <= 0) return true;
  }
}

Welcome RawPeer::open_session() {
  send(Hello{});
  return expect<Welcome>();
}

Welcome RawPeer::resume_session(const Welcome& earlier) {
  Hello hello;
  hello.resume = ResumeSession{earlier.session, earlier.secret};
  send(hello);
  return expect<Welcome>();
}

Outcome RawPeer::ask(std::uint64_t number, Command command, std::uint64_t acknowledged) {
  send(Request{{number}, {acknowledged}, std::move(command)});
  for (;;) {
    auto message = receive();
    if (!message) throw std::runtime_error("no answer");
    const auto* reply = std::get_if<Reply>(&*message);
    if (reply != nullptr && reply->number.value == number) return reply->outcome;
  }
}

LockRequest lock_request(std::uint64_t owner, LockMode mode, Wait wait, ByteRange range) {
  LockRequest request;
  request.file = {.fileid = 1, .handle_hash = 1};
  request.owner = {owner};
  request.handle = {owner};
  request.mode = mode;
  request.wait = wait;
  request.range = range;
  return request;
}

UnlockRequest unlock_request(std::uint64_t owner, ByteRange range) {
  UnlockRequest request;
  request.file = {.fileid = 1, .handle_hash = 1};
  request.owner = {owner};
  request.range = range;
  return request;
}

}  // namespace holdfast::support
