// Peers that break the protocol, say nothing, or do not read. Each time a well-behaved session is
// there, and must not notice.
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <atomic>
#include <memory>
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
  known.send_bytes(std::string("\x00\x10\x00\x01", 4));  // 1 MiB + 1
  EXPECT_TRUE(known.closed_by_lockd());
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

}  // namespace
}  // namespace holdfast
