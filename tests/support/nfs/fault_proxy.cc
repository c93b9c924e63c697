#include "tests/support/nfs/fault_proxy.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::fs::testing {
namespace {

constexpr int kPollMs = 20;
constexpr std::size_t kProcedureAt = 24;  // mark, xid, type, RPC version, program, version
constexpr std::size_t kMessageTypeAt = 8;
constexpr std::size_t kProgramAt = 16;
constexpr std::uint32_t kNfsProgram = 100003;

/// RFC 1813 section 3.3. COMMIT is none: what it makes stable was written before.
bool changes_something(std::uint32_t procedure) {
  return procedure == 2 || (procedure >= 7 && procedure <= 15);
}

/// How many "attributes follow" an error result of this procedure has (RFC 1813 section 3.3).
std::size_t attributes_in_error(std::uint32_t procedure) {
  switch (procedure) {
    case 1:  // GETATTR
      return 0;
    case 2:  // SETATTR
    case 7:  // WRITE
    case 8:
    case 9:  // CREATE, MKDIR
    case 10:
    case 11:  // SYMLINK, MKNOD
    case 12:
    case 13:  // REMOVE, RMDIR
    case 21:  // COMMIT
      return 2;
    case 14:  // RENAME
      return 4;
    case 15:  // LINK
      return 3;
    default:
      return 1;
  }
}

/// A whole reply to call `xid`: accepted, and an error without attributes.
std::vector<std::uint8_t> error_reply(std::uint32_t xid, std::uint32_t procedure,
                                      std::uint32_t status) {
  constexpr std::uint32_t kReply = 1, kLastFragment = 0x80000000U;
  // xid, REPLY, accepted, a verifier of kind none and length 0, success, status, "no attributes".
  std::vector<std::uint32_t> words = {0, xid, kReply, 0, 0, 0, 0, status};
  words.resize(words.size() + attributes_in_error(procedure));
  words[0] = kLastFragment | static_cast<std::uint32_t>(4 * (words.size() - 1));
  std::vector<std::uint8_t> bytes(4 * words.size());
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::uint32_t big_endian = htonl(words[i]);
    std::memcpy(bytes.data() + 4 * i, &big_endian, 4);
  }
  return bytes;
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

std::uint32_t word(const std::vector<std::uint8_t>& bytes, std::size_t at) {
  if (at + 4 > bytes.size()) return 0;
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, 4);
  return ntohl(value);
}

bool send_all(int fd, const std::uint8_t* data, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = ::send(fd, data, size, MSG_NOSIGNAL);
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

/// One direction: bytes become whole records, marks included. Holdfast and ganesha send single
/// fragments.
struct Stream {
  std::vector<std::uint8_t> bytes;
  bool read_from(int fd) {
    std::array<std::uint8_t, 65536> buffer;
    const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (got <= 0) return false;
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + got);
    return true;
  }
  std::optional<std::vector<std::uint8_t>> next() {
    if (bytes.size() < 4) return std::nullopt;
    const std::size_t size = 4 + (word(bytes, 0) & 0x7fffffffU);
    if (bytes.size() < size) return std::nullopt;
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(size);
    std::vector<std::uint8_t> record(bytes.begin(), end);
    bytes.erase(bytes.begin(), end);
    return record;
  }
};

}  // namespace

struct FaultProxy::Pipe {
  int client = -1;
  int server = -1;
  std::uint16_t source_port = 0;
  Stream calls;
  Stream replies;
  std::map<std::uint32_t, std::uint32_t> procedures;  // by xid
};

FaultProxy::FaultProxy(std::uint16_t server_port, SourcePorts source_ports)
    : server_port_(server_port), source_ports_(source_ports) {
  listen_again();
  acceptor_ = std::thread([this] { accept_loop(); });
}

FaultProxy::~FaultProxy() {
  stop_ = true;
  acceptor_.join();
  for (auto& pipe : pipes_)
    pipe.join();
  if (listener_ >= 0) ::close(listener_);
}

void FaultProxy::listen_again() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto address = loopback(port_);
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener_, generic, size) != 0 || ::listen(listener_, 64) != 0 ||
      ::getsockname(listener_, generic, &size) != 0)
    throw std::runtime_error(std::string("fault proxy: ") + std::strerror(errno));
  port_ = ntohs(address.sin_port);
}

void FaultProxy::arm(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = fault;
}

bool FaultProxy::struck() const {
  const std::lock_guard lock(mutex_);
  return !fault_;
}

bool FaultProxy::disarm() {
  const std::lock_guard lock(mutex_);
  return !std::exchange(fault_, std::nullopt);
}

unsigned FaultProxy::calls(std::uint32_t procedure) const {
  const std::lock_guard lock(mutex_);
  const auto it = calls_.find(procedure);
  return it == calls_.end() ? 0 : it->second;
}

std::vector<FaultProxy::Change> FaultProxy::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

void FaultProxy::narrow() {
  const int small = 4096;
  ::setsockopt(listener_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

void FaultProxy::refuse(bool on) {
  refuse_ = on;
  // The loops look every kPollMs; after this wait the change is complete.
  std::this_thread::sleep_for(std::chrono::milliseconds(4 * kPollMs));
}

void FaultProxy::accept_loop() {
  while (!stop_) {
    if (refuse_ && listener_ >= 0) {
      ::close(listener_);
      listener_ = -1;
    }
    if (!refuse_ && listener_ < 0) listen_again();
    pollfd entry{.fd = listener_, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, kPollMs) <= 0 || listener_ < 0) continue;
    const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    ++connections_;
    pipes_.emplace_back([this, client] { serve(client); });
  }
}

int FaultProxy::connect_upstream(int client) const {
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // Reset at close, so that the port pair can be used again at once.
  const linger reset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(server, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (source_ports_ == SourcePorts::kKept) {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    ::getpeername(client, reinterpret_cast<sockaddr*>(&peer), &size);
    ::setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)::bind(server, reinterpret_cast<sockaddr*>(&peer), size);
  }
  const auto address = loopback(server_port_);
  if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return server;
  ::close(server);
  return -1;
}

void FaultProxy::serve(int client) {
  Pipe pipe;
  pipe.client = client;
  pipe.server = connect_upstream(client);
  sockaddr_in peer{};
  socklen_t peer_size = sizeof peer;
  ::getpeername(client, reinterpret_cast<sockaddr*>(&peer), &peer_size);
  pipe.source_port = ntohs(peer.sin_port);
  bool open = pipe.server >= 0;
  const int on = 1;
  ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  while (open && !stop_ && !refuse_) {
    if (hole_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
      continue;
    }
    std::array<pollfd, 2> entries = {pollfd{.fd = client, .events = POLLIN, .revents = 0},
                                     pollfd{.fd = pipe.server, .events = POLLIN, .revents = 0}};
    if (::poll(entries.data(), entries.size(), kPollMs) <= 0) continue;
    if (hole_) continue;
    if (entries[0].revents != 0) open = pipe.calls.read_from(client);
    while (open) {
      const auto record = pipe.calls.next();
      if (!record) break;
      open = on_call(pipe, *record);
    }
    if (open && entries[1].revents != 0) open = pipe.replies.read_from(pipe.server);
    while (open) {
      const auto record = pipe.replies.next();
      if (!record) break;
      open = on_reply(pipe, *record);
    }
  }
  ::close(client);
  if (pipe.server >= 0) ::close(pipe.server);
}

std::optional<FaultProxy::Fault> FaultProxy::take_fault(std::uint32_t procedure, bool at_call) {
  const std::lock_guard lock(mutex_);
  const bool any = fault_ && fault_->procedure == kAnyProcedure && procedure != 0;
  if (!fault_ || (fault_->procedure != procedure && !any)) return std::nullopt;
  const bool strikes_calls =
      fault_->action == Action::kCutCall || fault_->action == Action::kAnswer;
  if (strikes_calls != at_call) return std::nullopt;
  if (fault_->after > 0) {
    --fault_->after;
    return std::nullopt;
  }
  const Fault fault = *fault_;
  if (--fault_->times == 0) fault_.reset();
  return fault;
}

bool FaultProxy::on_call(Pipe& pipe, const std::vector<std::uint8_t>& record) {
  const std::uint32_t xid = word(record, 4);
  const std::uint32_t procedure = word(record, kProcedureAt);
  if (word(record, kMessageTypeAt) == 0) {
    pipe.procedures[xid] = procedure;
    const std::lock_guard lock(mutex_);
    ++calls_[procedure];
    if (changes_something(procedure) && word(record, kProgramAt) == kNfsProgram)
      changes_.push_back({std::chrono::steady_clock::now(), procedure, pipe.source_port});
  }
  if (const auto fault = take_fault(procedure, true)) {
    if (fault->action == Action::kCutCall) return false;
    const auto answer = error_reply(xid, procedure, fault->status);
    return send_all(pipe.client, answer.data(), answer.size());
  }
  return send_all(pipe.server, record.data(), record.size());
}

bool FaultProxy::on_reply(Pipe& pipe, const std::vector<std::uint8_t>& record) {
  const auto known = pipe.procedures.find(word(record, 4));
  const auto fault =
      known == pipe.procedures.end() ? std::nullopt : take_fault(known->second, false);
  if (!fault) return send_all(pipe.client, record.data(), record.size());
  switch (fault->action) {
    case Action::kSwallow:
      return true;
    case Action::kSwallowAndCut:
    case Action::kCutCall:
    case Action::kAnswer:
      return false;
    case Action::kCutReply:
      (void)send_all(pipe.client, record.data(), std::min(fault->bytes, record.size()));
      return false;
    case Action::kDelay:
      std::this_thread::sleep_for(std::chrono::milliseconds(fault->bytes));
      return send_all(pipe.client, record.data(), record.size());
  }
  return false;
}

}  // namespace holdfast::fs::testing
