#include "cli/bench/swarm.h"

#include "holdfast/base/unix_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>

namespace holdfast::bench {
namespace {

constexpr std::size_t kReadSize = std::size_t{256} << 10;
constexpr std::size_t kEventsMax = 512;
constexpr std::chrono::milliseconds kLookEvery{10};
// As in fs/lock/lock_client.h.
constexpr std::chrono::milliseconds kBackoffMin{100};
constexpr std::chrono::milliseconds kBackoffMax{2'000};
constexpr std::chrono::milliseconds kHelloMax{5'000};
constexpr std::size_t kOtherDescriptors = 64;

socklen_t resolve(const wire::Address& address, sockaddr_storage& out) {
  if (const auto* local = std::get_if<wire::UnixAddress>(&address)) {
    const auto name = unix_name(local->path);
    if (!name) throw SetupError("socket path too long");
    std::memcpy(&out, &*name, sizeof *name);
    return sizeof *name;
  }
  const auto& tcp = std::get<wire::TcpAddress>(address);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status =
      ::getaddrinfo(tcp.host.c_str(), std::to_string(tcp.port).c_str(), &hints, &found);
  if (status != 0) {
    throw SetupError(fmt::format("{}: {}", wire::to_string(address), ::gai_strerror(status)));
  }
  std::memcpy(&out, found->ai_addr, found->ai_addrlen);
  const socklen_t size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return size;
}

std::size_t frame_length(const char* header) {
  std::uint32_t length = 0;
  std::memcpy(&length, header, sizeof length);
  return ntohl(length);
}

}  // namespace

void need_descriptors(std::size_t sockets) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlim_t needed = sockets + kOtherDescriptors;
  if (limit.rlim_cur >= needed) return;
  rlimit wanted{.rlim_cur = needed, .rlim_max = std::max(limit.rlim_max, needed)};
  if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0) return;
  throw SetupError(fmt::format(
      "{} connections need {} open files, but this process may have {} at most (ulimit -Hn); "
      "raise the limit, or give fewer",
      sockets, needed, limit.rlim_max));
}

Swarm::Swarm(const Target& lockd, std::size_t clients)
    : lockd_(lockd),
      address_size_(resolve(lockd.address, address_)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      clients_(clients),
      buffer_(kReadSize) {
  need_descriptors(clients);
  if (const auto* tcp = std::get_if<wire::TcpAddress>(&lockd.address))
    secured_ = {.tls = lockd.tls, .host = tcp->host};
  if (secured_.tls) std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL
  if (!lockd.token.empty() && !secured_.tls && !wire::stays_here(lockd.address))
    throw SetupError("a token is not sent in plain text over a network: give -o tls_ca=FILE");
}

Swarm::~Swarm() = default;

void Swarm::connect(std::size_t client) {
  if (clients_[client].link != Link::kDown) return;
  clients_[client].backoff = kBackoffMin;
  start(client);
}

void Swarm::connect_all(std::size_t at_once) {
  at_once_ = at_once == 0 ? clients_.size() : at_once;
  for (std::size_t client = 0; client < clients_.size(); ++client)
    to_start_.push_back(client);
}

void Swarm::start(std::size_t index) {
  Client& client = clients_[index];
  client.link = Link::kConnecting;
  ++on_the_way_;
  UniqueFd socket(::socket(address_.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return fail(index);
  client.line = Line(std::move(socket), secured_);
  const int on = 1;
  if (address_.ss_family != AF_UNIX) {
    ::setsockopt(client.line.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  client.hello_sent = Clock::now();  // of the attempt, until there is a Hello
  const int status =
      ::connect(client.line.fd(), reinterpret_cast<const sockaddr*>(&address_), address_size_);
  if (status != 0 && errno != EINPROGRESS) return fail(index);
  epoll_event event{.events = EPOLLIN | EPOLLOUT, .data = {.u64 = index}};
  client.wants_writing = true;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, client.line.fd(), &event);
}

void Swarm::shut(std::size_t index, Link to) {
  Client& client = clients_[index];
  if (is_on_the_way(client.link)) --on_the_way_;
  if (!client.line.trouble().empty()) counts_.last_refusal = client.line.trouble();
  if (client.link == Link::kUp) --up_;
  client.line = {};  // leaves epoll
  client.in.clear();
  client.out.clear();
  client.out_begin = 0;
  client.renewals.clear();
  client.to_tell.clear();
  for (const Asked& asked : client.asked)
    if (!asked.answered) ++counts_.lost_calls;
  client.answered_up_to += client.asked.size();
  client.asked.clear();
  client.link = to;
}

void Swarm::fail(std::size_t index) {
  Client& client = clients_[index];
  if (client.link == Link::kUp || client.link == Link::kReclaiming) {
    ++counts_.cut;
    client.backoff = kBackoffMin;
  }
  shut(index, Link::kBackoff);
  const auto share = std::chrono::milliseconds(
      std::uniform_int_distribution<std::int64_t>(0, client.backoff.count())(jitter_));
  client.retry_at = Clock::now() + client.backoff / 2 + share / 2;
  client.backoff = std::min(client.backoff * 2, kBackoffMax);
}

void Swarm::cut(std::size_t client) {
  shut(client, Link::kDown);
}

void Swarm::drop(std::size_t index) {
  shut(index, Link::kBackoff);
  clients_[index].backoff = kBackoffMin;
  clients_[index].retry_at = Clock::now();
}

void Swarm::mark(std::size_t index) {
  if (clients_[index].dirty) return;
  clients_[index].dirty = true;
  dirty_.push_back(index);
}

void Swarm::watch(std::size_t index, bool writing) {
  Client& client = clients_[index];
  if (client.wants_writing == writing) return;
  client.wants_writing = writing;
  epoll_event event{.events = EPOLLIN, .data = {.u64 = index}};
  if (writing) event.events |= EPOLLOUT;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.line.fd(), &event);
}

void Swarm::flush(std::size_t index) {
  Client& client = clients_[index];
  if (!client.line.is_open() || client.link == Link::kConnecting || client.link == Link::kSecuring)
    return;
  for (;;) {
    while (client.out_begin < client.out.size()) {
      const ssize_t sent = client.line.send(client.out.data() + client.out_begin,
                                            client.out.size() - client.out_begin);
      if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return watch(index, true);
      if (sent < 0) return fail(index);
      client.out_begin += static_cast<std::size_t>(sent);
    }
    client.out.clear();
    client.out_begin = 0;
    if (client.link != Link::kReclaiming || client.to_tell.empty()) break;
    tell_more(index);
  }
  watch(index, false);
}

void Swarm::read(std::size_t index) {
  Client& client = clients_[index];
  // As much as a record of TLS has, and more: nothing is left where epoll does not see it.
  const ssize_t count = client.line.receive(buffer_.data(), buffer_.size());
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return fail(index);
  std::string joined;
  const char* at = buffer_.data();
  std::size_t left = static_cast<std::size_t>(count);
  if (!client.in.empty()) {
    joined = std::move(client.in);
    joined.append(at, left);
    at = joined.data();
    left = joined.size();
  }
  const int fd = client.line.fd();
  constexpr std::size_t kHeader = 4;
  while (left >= kHeader && left - kHeader >= frame_length(at)) {
    const std::size_t length = frame_length(at);
    if (!take(index, std::as_bytes(std::span(at + kHeader, length)))) return fail(index);
    if (client.line.fd() != fd) return;  // the scenario ended the connection
    at += kHeader + length;
    left -= kHeader + length;
  }
  client.in.assign(at, left);
}

void Swarm::look_at_clock() {
  const auto now = Clock::now();
  if (now < next_look_) return;
  next_look_ = now + kLookEvery;
  for (std::size_t index = 0; index < clients_.size(); ++index) {
    Client& client = clients_[index];
    if (client.link == Link::kBackoff && now >= client.retry_at) start(index);
    if (is_on_the_way(client.link) && now - client.hello_sent > kHelloMax) fail(index);
    if ((client.link == Link::kUp || client.link == Link::kReclaiming) && now >= client.renew_at) {
      renew(index, now);
    }
  }
}

void Swarm::turn() {
  while (!to_start_.empty() && on_the_way_ < at_once_) {
    const std::size_t client = to_start_.front();
    to_start_.pop_front();
    connect(client);
  }
  look_at_clock();
  ++turns_;
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    clients_[dirty_[i]].dirty = false;
    flush(dirty_[i]);
  }
  dirty_.clear();
  std::array<epoll_event, kEventsMax> events;
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), kEventsMax, static_cast<int>(kLookEvery.count()));
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    const auto index = static_cast<std::size_t>(event.data.u64);
    if (clients_[index].line.is_open()) serve(index, event.events);
  }
}

void Swarm::serve(std::size_t index, std::uint32_t events) {
  Client& client = clients_[index];
  if (client.link == Link::kConnecting) {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(client.line.fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return fail(index);
    if ((events & EPOLLOUT) == 0) return;
    client.link = Link::kSecuring;
  }
  if (client.link == Link::kSecuring) return secure(index);
  if ((events & EPOLLOUT) != 0) flush(index);
  if (client.line.is_open() && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read(index);
}

void Swarm::secure(std::size_t index) {
  switch (clients_[index].line.handshake()) {
    case Line::Step::kDone:
      return greet(index);
    case Line::Step::kReads:
      return watch(index, false);
    case Line::Step::kWrites:
      return watch(index, true);
    case Line::Step::kFailed:
      return fail(index);
  }
}

}  // namespace holdfast::bench
