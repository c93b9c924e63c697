// Peers that break the protocol, say nothing, or do not read. Each time a well-behaved session is
// there, and must not notice.
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::InProcessLockd;
using support::lock_request;
using support::LockdSetup;
using support::RawPeer;
using support::unlock_request;

class LockdAbuse : public ::testing::Test {
 protected:
  explicit LockdAbuse(LockdSetup setup = {}) : lockd(std::move(setup)), good(lockd.address()) {
    good.open_session();
    good.ask(1, lock_request(1, LockMode::kExclusive));
  }
  void TearDown() override {
    EXPECT_TRUE(std::holds_alternative<Done>(good.ask(2, unlock_request(1))));
    EXPECT_TRUE(
        std::holds_alternative<Granted>(good.ask(3, lock_request(1, LockMode::kExclusive))));
  }
  static std::string framed(const std::string& body) {
    std::string bytes(4, '\0');
    for (std::size_t i = 0; i < 4; ++i)
      bytes[i] = static_cast<char>(body.size() >> (24 - 8 * i));
    return bytes + body;
  }

  InProcessLockd lockd;
  RawPeer good;
};

TEST_F(LockdAbuse, GarbageEndsThatConnectionOnly) {
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string(100, '\xff'),
        std::string(64, '\0'), framed("\x0a\x7f"), framed("nonsense")}) {
    RawPeer peer(lockd.address());
    peer.send_bytes(bytes);
    EXPECT_TRUE(peer.closed_by_lockd()) << bytes;
  }
  EXPECT_EQ(lockd.probe().malformed, 5u);
}

TEST_F(LockdAbuse, GarbageAfterHelloEndsThatConnectionAndKeepsTheSession) {
  Welcome welcome;
  {
    RawPeer peer(lockd.address());
    welcome = peer.open_session();
    peer.send_bytes(framed("\x7a\x01x"));
    EXPECT_TRUE(peer.closed_by_lockd());
  }
  RawPeer again(lockd.address());
  EXPECT_EQ(again.resume_session(welcome).session, welcome.session);
}

TEST_F(LockdAbuse, AFrameAboveTheLimitIsRefusedAtItsHeader) {
  RawPeer stranger(lockd.address());
  stranger.send_bytes(std::string("\x00\x00\x40\x01", 4));  // 16 KiB + 1, before Hello
  EXPECT_TRUE(stranger.closed_by_lockd());
  RawPeer known(lockd.address());
  known.open_session();
  known.send_bytes(std::string("\x00\x00\x40\x01", 4));
  EXPECT_TRUE(known.closed_by_lockd());
}

// What a mount reclaims may be long, until it is told.
TEST(LockdRestarted, OnlyAReclaimMayBeLong) {
  InProcessLockd lockd;
  const Welcome welcome = RawPeer(lockd.address()).open_session();
  lockd.kill();
  lockd.start();
  RawPeer back(lockd.address());
  ASSERT_TRUE(back.resume_session(welcome).reclaim);
  Reclaim reclaim;
  HeldLock held;
  held.owner = {1};
  for (std::uint64_t i = 0; i < 4096; ++i) {
    held.file = {.fileid = 100 + i, .handle_hash = i};
    reclaim.locks.push_back(held);
  }
  reclaim.last = true;
  back.send(reclaim);
  EXPECT_TRUE(back.expect<Reclaimed>().losses.empty());
  back.send_bytes(std::string("\x00\x00\x40\x01", 4));  // 16 KiB + 1
  EXPECT_TRUE(back.closed_by_lockd());
}

TEST_F(LockdAbuse, ATruncatedFrameHarmsNobody) {
  wire::Codec codec;
  std::string bytes;
  ASSERT_TRUE(codec.append_frame(bytes, ClientMessage(Hello{})));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    RawPeer peer(lockd.address());
    peer.send_bytes(bytes.substr(0, size));
  }
  lockd.inspect([](const lockd::Server& server) { server.coordinator().check_invariants(); });
}

TEST_F(LockdAbuse, MessagesOutOfPlaceAreRefused) {
  const std::vector<ClientMessage> before_hello{Request{{1}, {0}, unlock_request(1)}, Renew{1},
                                                Goodbye{}, ListLocks{}, ListSessions{}};
  for (const ClientMessage& message : before_hello) {
    RawPeer peer(lockd.address());
    peer.send(message);
    EXPECT_TRUE(peer.closed_by_lockd()) << message.index();
  }
  RawPeer twice(lockd.address());
  twice.open_session();
  twice.send(Hello{});
  EXPECT_TRUE(twice.closed_by_lockd());
}

TEST_F(LockdAbuse, AnotherProtocolVersionIsToldSo) {
  RawPeer peer(lockd.address());
  Hello hello;
  hello.version_min = hello.version_max = 99;
  peer.send(hello);
  const auto refused = peer.expect<HelloRefused>();
  EXPECT_EQ(refused.errc, LockErrc::kVersionMismatch);
  EXPECT_NE(refused.reason.find("99"), std::string::npos);
  EXPECT_TRUE(peer.closed_by_lockd());
}

class LockdStrangers : public LockdAbuse {
 protected:
  LockdStrangers()
      : LockdAbuse({.lease_ttl = 10s, .adjust = [](auto& options) {
                      options.strangers_max = 8;
                      options.hello_timeout = 300ms;
                    }}) {}
};

TEST_F(LockdStrangers, WhoSaysNothingIsDropped) {
  RawPeer silent(lockd.address());
  RawPeer slow(lockd.address());
  slow.send_bytes(std::string("\0\0", 2));
  EXPECT_TRUE(silent.closed_by_lockd());
  EXPECT_TRUE(slow.closed_by_lockd());
}

TEST_F(LockdStrangers, ACrowdOfSilentConnectionsKeepsNobodyOut) {
  std::vector<std::unique_ptr<RawPeer>> crowd;
  for (int i = 0; i < 100; ++i)
    crowd.push_back(std::make_unique<RawPeer>(lockd.address()));
  RawPeer late(lockd.address());
  EXPECT_NE(late.open_session().session.value, 0u);
  EXPECT_TRUE(crowd.front()->closed_by_lockd()) << "the oldest goes first";
}

class LockdSlowReader : public LockdAbuse {
 protected:
  LockdSlowReader()
      : LockdAbuse({.lease_ttl = 10s, .adjust = [](auto& options) {
                      options.write_stall_max = 500ms;
                      options.connection.queue_size_high = 64 << 10;
                      options.connection.queue_size_max = 256 << 10;
                    }}) {}
};

// Asks without end and never reads an answer: lockd stops reading it (bounded memory) and then
// drops it (bounded time).
TEST_F(LockdSlowReader, IsDroppedAndOthersAreServedMeanwhile) {
  RawPeer slow(lockd.admin_address());  // a unix socket's buffers are small and do not grow
  slow.open_session();
  std::atomic<bool> stop{false};
  std::jthread flood([&] {
    wire::Codec codec;
    std::uint64_t number = 0;
    while (!stop) {
      std::string bytes;
      for (int i = 0; i < 500; ++i) {
        static_cast<void>(codec.append_frame(bytes, ClientMessage(Renew{++number})));
      }
      slow.send_bytes(bytes);
      if (number > 50'000'000) break;
    }
  });
  std::uint64_t number = 1;
  while (lockd.probe().slow_readers == 0) {
    good.send(Renew{++number});
    EXPECT_EQ(good.expect<Renewed>().tick, number);
  }
  stop = true;
}

class LockdTurns : public LockdAbuse {
 protected:
  static constexpr std::uint64_t kPerTurn = 8;
  static constexpr std::uint64_t kFlood = 900;  // fits into what is read at once
  LockdTurns()
      : LockdAbuse({.lease_ttl = 10s,
                    .adjust = [](auto& options) { options.messages_per_turn = kPerTurn; }}) {}

  // Everything said while `say` runs is in lockd's sockets before lockd looks at any of it.
  void while_lockd_stands_still(const std::function<void()>& say) {
    lockd.inspect([&](const lockd::Server&) { say(); });
  }
  static FencingToken token_of(const Outcome& outcome) { return std::get<Granted>(outcome).token; }
};

// A flood that came first, all of it read at once, does not make others wait for its end. Tokens
// tell in which order lockd acted.
TEST_F(LockdTurns, AFloodOfCallsIsServedInTurnWithOthers) {
  RawPeer flood(lockd.address());
  flood.open_session();
  wire::Codec codec;
  std::string bytes;
  for (std::uint64_t number = 1; number <= kFlood; ++number) {
    LockRequest request = lock_request(number, LockMode::kExclusive);
    request.file = {.fileid = 100 + number, .handle_hash = number};
    ASSERT_TRUE(codec.append_frame(bytes, ClientMessage(Request{{number}, {0}, request})));
  }
  const auto receive_all = [](RawPeer& peer, std::uint64_t count) {
    Outcome last;
    for (std::uint64_t i = 0; i < count; ++i)
      last = peer.expect<Reply>().outcome;
    return last;
  };
  // lockd reads more at once from whom it has read much: let it.
  std::string warm_up;
  for (std::uint64_t tick = 1; tick <= 40'000; ++tick)
    ASSERT_TRUE(codec.append_frame(warm_up, ClientMessage(Renew{tick})));
  std::jthread speaking([&] { flood.send_bytes(warm_up); });
  for (std::uint64_t tick = 1; tick <= 40'000; ++tick)
    ASSERT_EQ(flood.expect<Renewed>().tick, tick);
  speaking.join();

  RawPeer other(lockd.address());
  other.open_session();
  LockRequest wanted = lock_request(1, LockMode::kExclusive);
  wanted.file = {.fileid = 2, .handle_hash = 2};
  while_lockd_stands_still([&] {
    flood.send_bytes(bytes);
    other.send(Request{{1}, {0}, wanted});
  });
  const FencingToken others = token_of(other.expect<Reply>().outcome);
  const FencingToken last = token_of(receive_all(flood, kFlood));
  EXPECT_LT(others.value + kFlood / 2, last.value)
      << "half of the flood or more was served before it";
}

// Whatever stays behind at the end of a turn is not forgotten when nothing more arrives.
TEST_F(LockdTurns, NothingIsLeftBehindInATurn) {
  for (const std::uint64_t count : {kPerTurn - 1, kPerTurn, kPerTurn + 1, 2 * kPerTurn, 100UL}) {
    RawPeer peer(lockd.address());
    peer.open_session();
    wire::Codec codec;
    std::string bytes;
    for (std::uint64_t tick = 1; tick <= count; ++tick)
      ASSERT_TRUE(codec.append_frame(bytes, ClientMessage(Renew{tick})));
    peer.send_bytes(bytes);
    for (std::uint64_t tick = 1; tick <= count; ++tick)
      ASSERT_EQ(peer.expect<Renewed>().tick, tick);
  }
}

}  // namespace
}  // namespace holdfast
