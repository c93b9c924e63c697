// Sessions and requests through a real server: conflicts, waits, reconnects, expiry.
#include "tests/support/lock/in_process_lockd.h"
#include "tests/support/lock/raw_peer.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::InProcessLockd;
using support::lock_request;
using support::RawPeer;
using support::unlock_request;

LockErrc refusal(const Outcome& outcome) {
  return std::get<Refused>(outcome).errc;
}

TEST(LockdServer, TwoSessionsExcludeEachOther) {
  InProcessLockd lockd;
  RawPeer one(lockd.address());
  RawPeer other(lockd.address());
  one.open_session();
  other.open_session();
  EXPECT_TRUE(std::holds_alternative<Granted>(one.ask(1, lock_request(1, LockMode::kExclusive))));
  EXPECT_EQ(refusal(other.ask(1, lock_request(1, LockMode::kShared))), LockErrc::kWouldBlock);
  EXPECT_TRUE(std::holds_alternative<Done>(one.ask(2, unlock_request(1))));
  EXPECT_TRUE(std::holds_alternative<Granted>(other.ask(2, lock_request(1, LockMode::kShared))));
}

TEST(LockdServer, AWaiterIsGrantedWhenTheHolderUnlocks) {
  InProcessLockd lockd;
  RawPeer one(lockd.address());
  RawPeer other(lockd.address());
  one.open_session();
  other.open_session();
  one.ask(1, lock_request(1, LockMode::kExclusive));
  other.send(Request{{1}, {0}, lock_request(1, LockMode::kExclusive, Wait::kYes)});
  other.expect<Queued>();
  EXPECT_FALSE(other.receive(50ms)) << "it waits";
  one.ask(2, unlock_request(1));
  EXPECT_TRUE(std::holds_alternative<Granted>(other.expect<Reply>().outcome));
}

TEST(LockdServer, ACancelledWaitEndsInterruptedAndLeavesNothing) {
  InProcessLockd lockd;
  RawPeer one(lockd.address());
  RawPeer other(lockd.address());
  one.open_session();
  other.open_session();
  one.ask(1, lock_request(1, LockMode::kExclusive));
  other.send(Request{{1}, {0}, lock_request(1, LockMode::kExclusive, Wait::kYes)});
  other.send(Request{{2}, {0}, CancelRequest{{1}}});
  bool interrupted = false;
  for (int i = 0; i < 2; ++i) {
    const Reply reply = other.expect<Reply>();
    if (reply.number.value == 1) interrupted = refusal(reply.outcome) == LockErrc::kInterrupted;
  }
  EXPECT_TRUE(interrupted);
  one.ask(2, unlock_request(1));
  EXPECT_TRUE(std::holds_alternative<Granted>(one.ask(3, lock_request(2, LockMode::kExclusive))));
}

TEST(LockdServer, ManyRequestsInOneWriteAreAllAnsweredInOrder) {
  InProcessLockd lockd;
  RawPeer peer(lockd.address());
  peer.open_session();
  wire::Codec codec;
  std::string bytes;
  constexpr std::uint64_t kPairs = 5000;
  for (std::uint64_t i = 0; i < kPairs; ++i) {
    ASSERT_TRUE(codec.append_frame(
        bytes,
        ClientMessage(Request{{2 * i + 1}, {2 * i / 2}, lock_request(1, LockMode::kShared)})));
    ASSERT_TRUE(
        codec.append_frame(bytes, ClientMessage(Request{{2 * i + 2}, {i}, unlock_request(1)})));
  }
  peer.send_bytes(bytes);
  for (std::uint64_t number = 1; number <= 2 * kPairs; ++number) {
    const Reply reply = peer.expect<Reply>();
    ASSERT_EQ(reply.number.value, number);
    ASSERT_FALSE(std::holds_alternative<Refused>(reply.outcome));
  }
}

// The connection is cut between request and reply: the repeated request gets the kept reply, and
// happened once.
TEST(LockdServer, ARepeatedRequestAfterAReconnectGetsItsKeptReply) {
  InProcessLockd lockd;
  Welcome welcome;
  Outcome first;
  {
    RawPeer peer(lockd.address());
    welcome = peer.open_session();
    first = peer.ask(1, lock_request(1, LockMode::kExclusive));
    peer.send(Request{{2}, {0}, unlock_request(1)});
  }
  RawPeer again(lockd.address());
  again.resume_session(welcome);
  const Outcome repeated = again.ask(1, lock_request(1, LockMode::kExclusive));
  EXPECT_EQ(std::get<Granted>(repeated).token, std::get<Granted>(first).token);
  EXPECT_TRUE(std::holds_alternative<Done>(again.ask(2, unlock_request(1))));
  RawPeer other(lockd.address());
  other.open_session();
  EXPECT_TRUE(std::holds_alternative<Granted>(other.ask(1, lock_request(1, LockMode::kExclusive))))
      << "the first lock was not taken a second time after its unlock";
}

TEST(LockdServer, AReconnectReplacesTheOldConnectionAndKeepsWaiters) {
  InProcessLockd lockd;
  RawPeer holder(lockd.address());
  holder.open_session();
  holder.ask(1, lock_request(1, LockMode::kExclusive));
  RawPeer old(lockd.address());
  const Welcome welcome = old.open_session();
  old.send(Request{{1}, {0}, lock_request(1, LockMode::kExclusive, Wait::kYes)});
  old.expect<Queued>();
  EXPECT_FALSE(old.receive(50ms));
  RawPeer fresh(lockd.address());
  EXPECT_EQ(fresh.resume_session(welcome).session, welcome.session);
  EXPECT_TRUE(old.closed_by_lockd());
  holder.ask(2, unlock_request(1));
  EXPECT_TRUE(std::holds_alternative<Granted>(fresh.expect<Reply>().outcome));
}

TEST(LockdServer, AWrongSecretResumesNothing) {
  InProcessLockd lockd;
  RawPeer peer(lockd.address());
  const Welcome welcome = peer.open_session();
  RawPeer thief(lockd.address());
  Hello hello;
  hello.resume = ResumeSession{welcome.session, {}};
  thief.send(hello);
  EXPECT_EQ(thief.expect<HelloRefused>().errc, LockErrc::kBadSecret);
  EXPECT_TRUE(thief.closed_by_lockd());
  EXPECT_TRUE(std::holds_alternative<Done>(peer.ask(1, unlock_request(1)))) << "not disturbed";
}

TEST(LockdServer, AnUnknownSessionIsLost) {
  InProcessLockd lockd;
  RawPeer peer(lockd.address());
  Hello hello;
  hello.resume = ResumeSession{{4711}, {}};
  peer.send(hello);
  EXPECT_EQ(peer.expect<HelloRefused>().errc, LockErrc::kSessionLost);
}

TEST(LockdServer, ASilentSessionExpiresAndItsLocksGoToTheWaiter) {
  InProcessLockd lockd({.lease_ttl = 1s, .adjust = {}});
  RawPeer silent(lockd.address());
  silent.open_session();
  silent.ask(1, lock_request(1, LockMode::kExclusive));
  RawPeer other(lockd.address());
  other.open_session();
  other.send(Request{{1}, {0}, lock_request(1, LockMode::kExclusive, Wait::kYes)});
  std::uint64_t tick = 0;
  std::optional<Outcome> outcome;
  while (!outcome && tick < 100) {
    other.send(Renew{++tick});
    while (auto message = other.receive(100ms)) {
      if (const auto* reply = std::get_if<Reply>(&*message)) outcome = reply->outcome;
    }
  }
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(std::holds_alternative<Granted>(*outcome));
  EXPECT_TRUE(silent.closed_by_lockd()) << "it must come back to hear what it lost";
}

TEST(LockdServer, RenewalsKeepASessionAlive) {
  InProcessLockd lockd({.lease_ttl = 1s, .adjust = {}});
  RawPeer peer(lockd.address());
  peer.open_session();
  peer.ask(1, lock_request(1, LockMode::kExclusive));
  for (std::uint64_t tick = 1; tick <= 12; ++tick) {
    peer.send(Renew{tick});
    ASSERT_EQ(peer.expect<Renewed>().tick, tick);
    EXPECT_FALSE(peer.receive(150ms));
  }
  EXPECT_TRUE(std::holds_alternative<Done>(peer.ask(2, unlock_request(1))));
}

TEST(LockdServer, GoodbyeFreesEverythingAtOnce) {
  InProcessLockd lockd;
  RawPeer leaving(lockd.address());
  leaving.open_session();
  leaving.ask(1, lock_request(1, LockMode::kExclusive));
  RawPeer other(lockd.address());
  other.open_session();
  other.send(Request{{1}, {0}, lock_request(1, LockMode::kExclusive, Wait::kYes)});
  leaving.send(Goodbye{});
  EXPECT_TRUE(leaving.closed_by_lockd());
  EXPECT_TRUE(std::holds_alternative<Granted>(other.expect<Reply>().outcome));
}

TEST(LockdServer, ACleanStopTellsNobodyThatTheSessionEnded) {
  InProcessLockd lockd;
  RawPeer peer(lockd.address());
  peer.open_session();
  peer.ask(1, lock_request(1, LockMode::kExclusive));
  lockd.kill();
  EXPECT_FALSE(peer.receive()) << "closed without a word";
}

TEST(LockdServer, ANewLifeWelcomesAtOnceAndGrantsWhenOldLeasesAreOver) {
  InProcessLockd lockd({.lease_ttl = 1s, .adjust = {}, .empty = true});
  RawPeer peer(lockd.address());
  peer.open_session();
  peer.send(Request{{1}, {0}, lock_request(1, LockMode::kExclusive)});
  EXPECT_FALSE(peer.receive(100ms));
  std::uint64_t tick = 0;
  std::optional<Outcome> outcome;
  while (!outcome && tick < 100) {
    peer.send(Renew{++tick});
    while (auto message = peer.receive(100ms)) {
      if (const auto* reply = std::get_if<Reply>(&*message)) outcome = reply->outcome;
    }
  }
  ASSERT_TRUE(outcome);
  EXPECT_TRUE(std::holds_alternative<Granted>(*outcome));
}

}  // namespace
}  // namespace holdfast
