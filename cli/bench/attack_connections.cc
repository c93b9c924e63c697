// Connections and sessions that are too many, too slow, or do not listen.
#include "cli/bench/attack.h"
#include "cli/bench/attack_peer.h"
#include "cli/bench/swarm.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include <sys/socket.h>

namespace holdfast::bench {
namespace {

using Crowd = std::vector<std::unique_ptr<AttackPeer>>;

constexpr std::size_t kCrowd = 1'000;
constexpr std::size_t kDeaf = 16;
constexpr std::size_t kGreetAtOnce = 32;
constexpr std::chrono::milliseconds kTurn{50};

bool closed(const AttackPeer& peer) {
  char byte = 0;
  const ssize_t count = ::recv(peer.fd(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return count == 0 || (count < 0 && errno != EAGAIN);
}

// As many as belong to a crowd, whatever lockd closes.
void refill(Crowd& crowd, const wire::TcpAddress& lockd, std::atomic<std::uint64_t>* opened) {
  std::erase_if(crowd, [](const auto& peer) { return closed(*peer); });
  while (crowd.size() < kCrowd) {
    auto peer = std::make_unique<AttackPeer>(lockd);
    if (!peer->connected()) return;
    crowd.push_back(std::move(peer));
    if (opened != nullptr) ++*opened;
  }
}

}  // namespace

void attack_half_open(const wire::TcpAddress& lockd, AttackCounts& counts) {
  need_descriptors(kCrowd);
  Crowd crowd;
  for (;;) {
    refill(crowd, lockd, &counts.done);
    std::this_thread::sleep_for(kTurn);
  }
}

void attack_slow_loris(const wire::TcpAddress& lockd, AttackCounts& counts) {
  need_descriptors(kCrowd);
  const std::string hello = header(100) + std::string(100, '\x0a');
  Crowd crowd;
  for (std::size_t second = 0;; ++second) {
    refill(crowd, lockd, nullptr);
    const auto next = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    for (const auto& peer : crowd)
      if (peer->send(std::string_view(hello).substr(second % hello.size(), 1))) ++counts.done;
    std::this_thread::sleep_until(next);
  }
}

// Answers pile up in the kernel, then at lockd, which stops reading, and at last hangs up.
void attack_deaf(const wire::TcpAddress& lockd, AttackCounts& counts) {
  wire::Codec codec;
  std::string bytes;
  constexpr std::size_t kInOneSend = 500;
  for (std::size_t i = 0; i < kInOneSend; ++i)
    static_cast<void>(codec.append_frame(bytes, ClientMessage(Renew{i + 1})));
  struct Deaf {
    std::unique_ptr<AttackPeer> peer;
    std::size_t sent = 0;  // of `bytes`
  };
  std::vector<Deaf> all(kDeaf);
  for (;;) {
    bool moved = false;
    for (Deaf& one : all) {
      if (!one.peer) {
        one = {std::make_unique<AttackPeer>(lockd), 0};
        if (!one.peer->greet({})) one.peer.reset();
        continue;
      }
      const ssize_t sent = ::send(one.peer->fd(), bytes.data() + one.sent, bytes.size() - one.sent,
                                  MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN) one.peer.reset();
      if (sent <= 0) continue;
      moved = true;
      one.sent += static_cast<std::size_t>(sent);
      if (one.sent == bytes.size()) {
        one.sent = 0;
        counts.done += kInOneSend;
      }
    }
    if (!moved) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void attack_connections(const wire::TcpAddress& lockd, AttackCounts& counts) {
  for (;;)
    if (AttackPeer(lockd).connected()) ++counts.done;
}

void attack_sessions(const wire::TcpAddress& lockd, AttackCounts& counts) {
  for (;;) {
    Crowd crowd;
    for (std::size_t i = 0; i < kGreetAtOnce; ++i) {
      auto peer = std::make_unique<AttackPeer>(lockd);
      if (peer->connected() && peer->send(ClientMessage(Hello{}))) crowd.push_back(std::move(peer));
    }
    for (const auto& peer : crowd) {
      const auto answer = peer->receive();
      if (answer && std::holds_alternative<Welcome>(*answer)) ++counts.done;
    }
  }
}

}  // namespace holdfast::bench
