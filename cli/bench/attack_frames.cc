// What is said is wrong, or is said by somebody who may not.
#include "cli/bench/attack.h"
#include "cli/bench/attack_peer.h"

#include <random>
#include <vector>

namespace holdfast::bench {
namespace {

constexpr std::size_t kEntriesOfLargeFrame = 16'000;  // about 1 MiB

std::string random_bytes(std::mt19937_64& random, std::size_t size) {
  std::string out(size, '\0');
  for (char& byte : out)
    byte = static_cast<char>(random());
  return out;
}

std::size_t below(std::mt19937_64& random, std::size_t limit) {
  return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
}

HeldLock some_lock(std::uint64_t i) {
  HeldLock held;
  held.file = {.fileid = i + 1, .handle_hash = i + 1};
  held.owner = {i + 1};
  held.handle = {i + 1};
  return held;
}

Hello resume(const Welcome& welcome) {
  Hello hello;
  hello.resume = ResumeSession{welcome.session, welcome.secret, {}};
  return hello;
}

}  // namespace

void attack_spin(const wire::TcpAddress&, AttackCounts& counts) {
  for (;;)
    ++counts.done;
}

void attack_random(const wire::TcpAddress& lockd, AttackCounts& counts) {
  std::mt19937_64 random(1);
  for (;;) {
    AttackPeer peer(lockd);
    if (!peer.connected()) continue;
    std::string bytes = random_bytes(random, 1 + below(random, 4096));
    if (below(random, 2) == 0) bytes = framed(bytes);  // so that the decoder sees them
    peer.send(bytes);
    peer.hang_up_and_wait();
    ++counts.done;
  }
}

void attack_truncated(const wire::TcpAddress& lockd, AttackCounts& counts) {
  std::mt19937_64 random(2);
  wire::Codec codec;
  Hello hello;
  hello.node = "attacker";
  std::string bytes;
  static_cast<void>(codec.append_frame(bytes, ClientMessage(hello)));
  for (;;) {
    AttackPeer peer(lockd);
    if (!peer.connected()) continue;
    peer.send(std::string_view(bytes).substr(0, below(random, bytes.size())));
    peer.hang_up_and_wait();
    ++counts.done;
  }
}

// Before Hello, and after it.
void attack_oversized(const wire::TcpAddress& lockd, AttackCounts& counts) {
  std::optional<Welcome> welcome;
  for (;;) {
    AttackPeer stranger(lockd);
    stranger.send(header(wire::kUsualFrameSizeMax + 1));
    stranger.wait_closed();
    AttackPeer known(lockd);
    const auto again = known.greet(welcome ? resume(*welcome) : Hello{});
    if (!again) {
      welcome.reset();
      continue;
    }
    welcome = again;
    known.send(header(wire::kUsualFrameSizeMax + 1));
    known.wait_closed();
    counts.done += 2;
  }
}

void attack_misplaced(const wire::TcpAddress& lockd, AttackCounts& counts) {
  Reclaim reclaim;
  reclaim.locks = {some_lock(1)};
  const std::vector<ClientMessage> before_hello{
      Request{{1}, {0}, UnlockRequest{}}, Renew{1}, Goodbye{}, ListSessions{}, ListLocks{},
      Break{{1}, std::nullopt},           reclaim};
  std::optional<Welcome> welcome;
  for (std::uint64_t i = 0;; ++i) {
    AttackPeer stranger(lockd);
    stranger.send(before_hello[i % before_hello.size()]);
    stranger.wait_closed();
    AttackPeer known(lockd);
    const auto again = known.greet(welcome ? resume(*welcome) : Hello{});
    if (!again) {
      welcome.reset();
      continue;
    }
    welcome = again;
    known.send(i % 2 == 0 ? ClientMessage(Hello{}) : ClientMessage(ListLocks{}));
    known.wait_closed();
    counts.done += 2;
  }
}

void attack_versions(const wire::TcpAddress& lockd, AttackCounts& counts) {
  std::mt19937_64 random(3);
  for (;;) {
    AttackPeer peer(lockd);
    Hello hello;
    hello.version_min = hello.version_max =
        static_cast<std::uint32_t>(kProtocolVersion + 1 + below(random, 1000));
    if (!peer.connected() || !peer.send(ClientMessage(hello))) continue;
    peer.wait_closed();
    ++counts.done;
  }
}

// Ids that nobody has, and its own with another secret.
void attack_guessing(const wire::TcpAddress& lockd, AttackCounts& counts) {
  std::mt19937_64 random(4);
  AttackPeer own(lockd);
  const auto welcome = own.greet({});
  for (std::uint64_t i = 0;; ++i) {
    if (i % 256 == 0) own.send(ClientMessage(Renew{i + 1}));
    AttackPeer peer(lockd);
    Hello hello;
    hello.resume = ResumeSession{{random()}, {}, {}};
    for (auto& byte : hello.resume->secret)
      byte = static_cast<std::remove_reference_t<decltype(byte)>>(random());
    if (welcome && i % 2 == 0) hello.resume->session = welcome->session;
    if (!peer.connected() || !peer.send(ClientMessage(hello))) continue;
    peer.wait_closed();
    ++counts.done;
  }
}

// As large as a frame may be, and as much work to decode as one can be.
void attack_large(const wire::TcpAddress& lockd, AttackCounts& counts) {
  Reclaim reclaim;
  for (std::uint64_t i = 0; i < kEntriesOfLargeFrame; ++i)
    reclaim.locks.push_back(some_lock(i));
  wire::Codec codec;
  std::string bytes;
  while (!codec.append_frame(bytes, ClientMessage(reclaim)))
    reclaim.locks.resize(reclaim.locks.size() * 9 / 10);
  std::optional<Welcome> welcome;
  for (;;) {
    AttackPeer known(lockd);
    const auto again = known.greet(welcome ? resume(*welcome) : Hello{});
    if (!again) {
      welcome.reset();
      continue;
    }
    welcome = again;
    known.send(bytes);
    known.wait_closed();
    ++counts.done;
  }
}

}  // namespace holdfast::bench
