// The lock client while lockd is there.
#include "tests/integration/wire/lock_client_fixture.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::DrivenLoop;
using support::InProcessLockd;

class LockClientTest : public ::testing::Test {
 protected:
  InProcessLockd lockd;
  DrivenLoop loop;
  TestMount a{loop, lockd.address()};
  TestMount b{loop, lockd.address()};
};

TEST_F(LockClientTest, TwoMountsExcludeEachOther) {
  EXPECT_TRUE(a.client->entitled());
  ASSERT_TRUE(loop.finish(a.lock(1, LockMode::kExclusive)));
  const auto refused = loop.finish(b.lock(1, LockMode::kShared));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), LockErrc::kWouldBlock);
  auto waiting = b.lock(1, LockMode::kShared, Wait::kYes);
  loop.drive(50ms);
  EXPECT_FALSE(DrivenLoop::ready(waiting));
  ASSERT_TRUE(loop.finish(a.unlock(1)));
  EXPECT_TRUE(loop.finish(std::move(waiting)));
}

TEST_F(LockClientTest, EveryKindOfCallIsAnswered) {
  ASSERT_TRUE(loop.finish(a.lock(1, LockMode::kExclusive)));
  const auto query = lock_request(2, LockMode::kShared);
  const auto found = loop.run(
      b.client->query(QueryRequest{query.file, query.space, query.owner, query.mode, query.range}));
  ASSERT_TRUE(found);
  ASSERT_TRUE(found->conflict);
  EXPECT_EQ(found->conflict->mode, LockMode::kExclusive);
  EXPECT_FALSE(found->conflict->same_session);
  EXPECT_TRUE(loop.run(a.client->release_owner(ReleaseOwnerRequest{query.file, {1}})));
  ASSERT_TRUE(loop.finish(b.lock(2, LockMode::kExclusive)));
  EXPECT_TRUE(loop.run(b.client->release_handle(ReleaseHandleRequest{query.file, {2}})));
  ASSERT_TRUE(loop.finish(a.lock(1, LockMode::kShared)));
  EXPECT_TRUE(loop.run(a.client->claim_wal(ClaimWalRequest{query.file})));
  const auto elsewhere = loop.run(b.client->claim_wal(ClaimWalRequest{query.file}));
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error(), LockErrc::kWalOwnedElsewhere);
}

TEST_F(LockClientTest, AnInterruptedWaitEndsAndHoldsNothing) {
  ASSERT_TRUE(loop.finish(a.lock(1, LockMode::kExclusive)));
  task::Interrupt interrupt;
  auto waiting = b.lock(1, LockMode::kExclusive, Wait::kYes, &interrupt);
  loop.drive(50ms);
  interrupt.request();
  const auto ended = loop.finish(std::move(waiting));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), LockErrc::kInterrupted);
  ASSERT_TRUE(loop.finish(a.unlock(1)));
  ASSERT_TRUE(loop.finish(a.lock(2, LockMode::kExclusive, Wait::kYes)));
}

TEST_F(LockClientTest, AnInterruptBeforeTheCallAnswersAtOnce) {
  task::Interrupt interrupt;
  interrupt.request();
  const auto ended = loop.finish(b.lock(1, LockMode::kExclusive, Wait::kYes, &interrupt));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), LockErrc::kInterrupted);
}

// Interrupt and grant race, many times: whatever the caller was told is what lockd believes.
TEST_F(LockClientTest, WhateverTheInterruptedCallerWasToldIsTrue) {
  for (int round = 0; round < 200; ++round) {
    ASSERT_TRUE(loop.finish(a.lock(1, LockMode::kExclusive, Wait::kYes)));
    task::Interrupt interrupt;
    auto waiting = b.lock(1, LockMode::kExclusive, Wait::kYes, &interrupt);
    loop.drive(1ms);
    auto unlocked = a.unlock(1);
    if (round % 2 == 0) loop.context().poll();
    interrupt.request();
    const auto ended = loop.finish(std::move(waiting));
    ASSERT_TRUE(loop.finish(std::move(unlocked)));
    if (ended) {
      ASSERT_FALSE(loop.finish(a.lock(2, LockMode::kExclusive)));
      ASSERT_TRUE(loop.finish(b.unlock(1)));
    } else {
      ASSERT_EQ(ended.error(), LockErrc::kInterrupted);
      ASSERT_TRUE(loop.finish(a.lock(2, LockMode::kExclusive, Wait::kYes)));
      ASSERT_TRUE(loop.finish(a.unlock(2)));
    }
    loop.until([&] { return b.client->core().open_calls() == 0; });
  }
}

TEST_F(LockClientTest, ACallerThatGoesAwayLeavesNoTrace) {
  ASSERT_TRUE(loop.finish(a.lock(1, LockMode::kExclusive)));
  task::Group group(loop.executor());
  group.spawn("test.abandoned", [](fs::LockClient& client) -> boost::asio::awaitable<void> {
    static_cast<void>(
        co_await client.lock(lock_request(1, LockMode::kExclusive, Wait::kYes), nullptr));
  }(*b.client));
  loop.drive(20ms);
  group.cancel();
  loop.run(group.join());
  ASSERT_TRUE(loop.finish(a.unlock(1)));
  loop.drive(20ms);
}

TEST_F(LockClientTest, StopGivesEverythingBack) {
  {
    TestMount c(loop, lockd.address());
    ASSERT_TRUE(loop.finish(c.lock(1, LockMode::kExclusive)));
  }
  EXPECT_TRUE(loop.finish(a.lock(1, LockMode::kExclusive)));
}

TEST_F(LockClientTest, AFloodBehindOneLongWaitKeepsGoing) {
  ASSERT_TRUE(loop.finish(a.lock(1, LockMode::kExclusive)));
  auto waiting = b.lock(1, LockMode::kExclusive, Wait::kYes);
  auto many = [](fs::LockClient& client) -> boost::asio::awaitable<int> {
    LockRequest request = lock_request(5, LockMode::kShared);
    request.file.fileid = 2;
    int granted = 0;
    for (int i = 0; i < 20'000; ++i) {  // past the window of 16 Ki
      const auto one = co_await client.lock(request, nullptr);
      granted += one ? 1 : 0;
    }
    co_return granted;
  };
  EXPECT_EQ(loop.run(many(*b.client)), 20'000);
  EXPECT_FALSE(DrivenLoop::ready(waiting));
  ASSERT_TRUE(loop.finish(a.unlock(1)));
  EXPECT_TRUE(loop.finish(std::move(waiting)));
}

}  // namespace
}  // namespace holdfast
