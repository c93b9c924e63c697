// What a mount does around a reclaim: what it asks again, and when lockd makes no sense.
#include "fs/lock/client_core.h"
#include "tests/unit/wire/client_core_fixture.h"

namespace holdfast::fs {
namespace {

using namespace std::chrono_literals;

class ClientRestartTest : public ClientCoreTest {
 protected:
  void SetUp() override { open(); }

  static ReleaseHandleRequest release(std::uint64_t handle) { return {kFile, {handle}}; }
  static ByteRange range(std::uint64_t start, std::uint64_t end) {
    return *ByteRange::make(start, end);
  }
};

// ---- What is asked again

TEST_F(ClientRestartTest, UnansweredCallsAreNumberedFromOneInTheirOldOrderWithTheirPlaces) {
  const CallId first = call(lock(1, LockMode::kExclusive));
  call(lock(2, LockMode::kExclusive));
  unlock(3);
  reply(2, Refused{LockErrc::kWouldBlock});
  say(Queued{{1}, {{1}, 77}});
  say(Queued{{2}, {{1}, 78}});  // answered already
  requests();
  core.disconnected();
  call(lock(4, LockMode::kShared));
  reclaim();
  EXPECT_TRUE(requests().empty()) << "not before lockd has taken the reclaim";
  call(lock(5, LockMode::kShared));
  say(Reclaimed{});
  const auto again = requests();
  ASSERT_EQ(again.size(), 4u);
  EXPECT_EQ(again[0].number, RequestNumber{1});
  EXPECT_EQ(again[0].acknowledged, RequestNumber{0});
  EXPECT_EQ(std::get<LockRequest>(again[0].command).place, (QueuePlace{{1}, 77}));
  EXPECT_TRUE(std::holds_alternative<UnlockRequest>(again[1].command));
  EXPECT_EQ(std::get<LockRequest>(again[2].command).owner, OwnerId{4});
  EXPECT_FALSE(std::get<LockRequest>(again[2].command).place);
  EXPECT_EQ(std::get<LockRequest>(again[3].command).owner, OwnerId{5});
  EXPECT_EQ(again[3].number, RequestNumber{4});
  reply(1, Granted{{1}});
  EXPECT_TRUE(outcome_of(first));
}

TEST_F(ClientRestartTest, TheLatestPlaceCounts) {
  call(lock(1, LockMode::kExclusive));
  say(Queued{{1}, {{1}, 77}});
  restart(2);
  requests();
  say(Queued{{1}, {{1}, 78}});
  restart(3);
  EXPECT_EQ(std::get<LockRequest>(requests()[0].command).place, (QueuePlace{{1}, 78}));
}

TEST_F(ClientRestartTest, AGrantAfterTheRestartIsToldAtTheNext) {
  call(lock(1, LockMode::kExclusive));
  EXPECT_TRUE(restart(2).locks.empty());
  reply(1, Granted{{1}});
  EXPECT_EQ(restart(3).locks.size(), 1u);
}

TEST_F(ClientRestartTest, AReclaimThatStartsOverTellsTheSame) {
  hold(lock(1, LockMode::kExclusive, 0, 30));
  const CallId weaker = call(lock(1, LockMode::kShared, 0, 10));
  unlock(1, 20, 30);
  const Reclaim first = reclaim(2);
  const Reclaim second = reclaim(2);  // the connection broke before Reclaimed
  ASSERT_EQ(first.locks.size(), 2u);
  ASSERT_EQ(second.locks.size(), 2u);
  EXPECT_EQ(second.locks[0].mode, LockMode::kShared);
  EXPECT_EQ(second.locks[1].range, range(10, 20));
  say(Reclaimed{});
  EXPECT_EQ(requests().size(), 2u);
  reply(1, Refused{LockErrc::kWouldBlock});
  EXPECT_EQ(error_of(weaker), LockErrc::kWouldBlock);
  EXPECT_EQ(files_lost().size(), 1u) << "still known to have been weakened";
}

// lockd had all, only its answer was lost: an ordinary resume of the same life.
TEST_F(ClientRestartTest, AResumeAfterACompletedReclaimIsAnOrdinaryOne) {
  const CallId id = call(lock(1, LockMode::kExclusive));
  reclaim(2);
  core.disconnected();
  take(core.connected(at(1s)));
  Welcome welcome = welcome_of(1);
  welcome.epoch = {2};
  sent.clear();
  say(welcome, 1s);
  const auto again = requests();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].number, RequestNumber{1});
  reply(1, Granted{{1}});
  EXPECT_TRUE(outcome_of(id));
}

TEST_F(ClientRestartTest, WhatIsInterruptedDuringTheReclaimIsNotAskedAgain) {
  const CallId id = call(lock(1, LockMode::kExclusive));
  reclaim();
  take(core.interrupt(id));
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  say(Reclaimed{});
  EXPECT_TRUE(requests().empty());
}

// ---- The session

TEST_F(ClientRestartTest, TheMountIsEntitledFromTheWelcomeOnAndRenews) {
  core.disconnected();
  take(core.tick(at(20s)));
  EXPECT_EQ(core.state(), ClientCore::State::kSuspended);
  take(core.connected(at(20s)));
  Welcome welcome = welcome_of(1);
  welcome.epoch = {2};
  welcome.reclaim = true;
  say(welcome, 20s);
  EXPECT_TRUE(core.entitled(at(20s)));
  EXPECT_EQ(count<LeaseResumed>(), 1);
  EXPECT_EQ(count<SessionLost>(), 0);
  sent.clear();
  take(core.tick(at(20s + kTtl / 3)));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Renew>(sent[0]));
}

// The release takes nothing from an owner that never used the handle.
TEST_F(ClientRestartTest, AReleaseOfAnotherHandleLeavesNoDoubt) {
  hold(lock(1, LockMode::kShared, 0, 10));
  call(lock(1, LockMode::kShared, 20, 30));
  call(release(9));
  core.disconnected();
  open(1);
  reply(2, Granted{{2}});
  reply(3, Done{});
  EXPECT_EQ(reclaim().locks.size(), 2u);
  EXPECT_TRUE(files_lost().empty());
}

TEST_F(ClientRestartTest, AReleaseOfAHandleThatWasUsedLeavesDoubt) {
  LockRequest through = lock(1, LockMode::kShared, 0, 10);
  through.handle = {9};
  hold(through);
  call(lock(1, LockMode::kShared, 0, 10));
  call(release(9));
  core.disconnected();
  open(1);
  reply(2, Granted{{2}});
  reply(3, Done{});
  EXPECT_TRUE(reclaim().locks.empty());
  EXPECT_EQ(files_lost().size(), 1u);
}

TEST_F(ClientRestartTest, ALockdThatHeardHalfAReclaimMustAskAgain) {
  for (std::uint64_t i = 0; i < 20'000; ++i)
    hold(lock(1, LockMode::kShared, 2 * i, 2 * i + 1));
  core.disconnected();
  take(core.connected(at(0ms)));
  Welcome welcome = welcome_of(1);
  welcome.epoch = {2};
  welcome.reclaim = true;
  say(welcome);
  EXPECT_TRUE(core.has_more_to_say());
  core.disconnected();
  take(core.connected(at(0ms)));
  welcome.reclaim = false;
  say(welcome);
  EXPECT_EQ(std::get<DropConnection>(events.back()).why, DropConnection::Why::kProtocol);
}

TEST_F(ClientRestartTest, WhatIsLostByDoubtIsToldBeforeTheLeaseIsResumed) {
  call(lock(1, LockMode::kShared, 20, 30));
  unlock(1, 20, 30);
  core.disconnected();
  open(1);
  reply(1, Granted{{1}});
  reply(2, Done{});
  core.disconnected();
  take(core.tick(at(20s)));
  take(core.connected(at(20s)));
  events.clear();
  Welcome welcome = welcome_of(1);
  welcome.epoch = {2};
  welcome.reclaim = true;
  say(welcome, 20s);
  ASSERT_GE(events.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<FilesLost>(events[0]));
  EXPECT_TRUE(std::holds_alternative<LeaseResumed>(events[1]));
}

TEST_F(ClientRestartTest, AReclaimOfANewSessionMakesNoSense) {
  core.disconnected();
  take(core.connected(at(0ms)));
  Welcome welcome = welcome_of(2);
  welcome.reclaim = true;
  say(welcome);
  EXPECT_EQ(std::get<DropConnection>(events.back()).why, DropConnection::Why::kProtocol);
}

TEST_F(ClientRestartTest, AnotherLifeThatAsksForNoReclaimMakesNoSense) {
  hold(lock(1, LockMode::kExclusive));
  core.disconnected();
  take(core.connected(at(0ms)));
  Welcome welcome = welcome_of(1);
  welcome.epoch = {2};
  say(welcome);
  EXPECT_EQ(std::get<DropConnection>(events.back()).why, DropConnection::Why::kProtocol);
  EXPECT_EQ(restart().locks.size(), 1u) << "nothing was forgotten over it";
}

TEST_F(ClientRestartTest, ReclaimedWithoutAReclaimMakesNoSense) {
  say(Reclaimed{});
  EXPECT_EQ(std::get<DropConnection>(events.back()).why, DropConnection::Why::kProtocol);
}

}  // namespace
}  // namespace holdfast::fs
