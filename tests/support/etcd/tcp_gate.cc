#include "tests/support/etcd/tcp_gate.h"

#include <array>
#include <chrono>
#include <stdexcept>
#include <vector>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::support {
namespace {

constexpr int kTurnMs = 20;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

}  // namespace

TcpGate::TcpGate(std::uint16_t to) : to_(to) {
  listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(listening_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listening_, 64) != 0) {
    throw std::runtime_error("the gate cannot listen");
  }
  ::getsockname(listening_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { run(); });
}

TcpGate::~TcpGate() {
  end_ = true;
  thread_.join();
  ::close(listening_);
  for (const Relay& one : relays_) {
    ::close(one.a);
    ::close(one.b);
  }
}

void TcpGate::keep(std::chrono::milliseconds within) {
  keep_until_ = std::chrono::steady_clock::now() + within;
}

void TcpGate::keep_what_comes() {
  std::array<char, 65536> room;
  const bool still = std::chrono::steady_clock::now() < keep_until_.load();
  for (Relay& one : relays_) {
    const ssize_t got = ::recv(one.a, room.data(), room.size(), MSG_DONTWAIT);
    if (got > 0 && still) one.kept.append(room.data(), static_cast<std::size_t>(got));
    if (deliver_) {
      (void)!::send(one.b, one.kept.data(), one.kept.size(), MSG_NOSIGNAL);
      one.kept.clear();
    }
  }
}

bool TcpGate::pass(int from, int to) {
  std::array<char, 65536> room;
  const ssize_t got = ::recv(from, room.data(), room.size(), MSG_DONTWAIT);
  if (got <= 0) return false;
  return ::send(to, room.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL) == got;
}

void TcpGate::run() {
  const auto keeps = [this] {
    return keep_until_.load() != std::chrono::steady_clock::time_point{};
  };
  while (!end_) {
    if (keeps()) {
      keep_what_comes();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    if (shut_) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kTurnMs));
      continue;
    }
    std::vector<pollfd> wanted{{listening_, POLLIN, 0}};
    for (const Relay& one : relays_) {
      wanted.push_back({one.a, POLLIN, 0});
      wanted.push_back({one.b, POLLIN, 0});
    }
    if (::poll(wanted.data(), wanted.size(), kTurnMs) <= 0 || shut_ || keeps()) continue;
    std::size_t at = 1;
    for (auto it = relays_.begin(); it != relays_.end(); at += 2) {
      const bool goes_on = (wanted[at].revents == 0 || pass(it->a, it->b)) &&
                           (wanted[at + 1].revents == 0 || pass(it->b, it->a));
      if (goes_on) {
        ++it;
        continue;
      }
      ::close(it->a);
      ::close(it->b);
      it = relays_.erase(it);
    }
    if (wanted[0].revents == 0) continue;
    const sockaddr_in target = loopback(to_);
    const int a = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
    const int b = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(b, reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0) {
      relays_.push_back({a, b, {}});
    } else {
      ::close(a);
      ::close(b);
    }
  }
}

}  // namespace holdfast::support
