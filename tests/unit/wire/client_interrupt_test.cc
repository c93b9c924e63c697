// What happens when a signal meets a lock request, wherever they meet.
#include "fs/lock/client_core.h"
#include "tests/unit/wire/client_core_fixture.h"

namespace holdfast::fs {
namespace {

using namespace std::chrono_literals;

class ClientInterruptTest : public ClientCoreTest {
 protected:
  void hold(std::uint64_t owner, LockMode mode, std::uint64_t start, std::uint64_t end) {
    call(lock(owner, mode, start, end));
    reply(++last_, Granted{{last_}});
    requests();
  }
  CallId wait(std::uint64_t owner, LockMode mode, std::uint64_t start, std::uint64_t end) {
    ++last_;
    const CallId id = call(lock(owner, mode, start, end));
    requests();
    return id;
  }
  std::uint64_t last_ = 0;  // request number
};

TEST_F(ClientInterruptTest, WhatWasNeverSentIsDropped) {
  const CallId id = call(lock(1, LockMode::kExclusive));
  take(core.interrupt(id));
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  EXPECT_EQ(core.open_calls(), 0u);
}

TEST_F(ClientInterruptTest, TheCallerHearsAtOnceAlsoWithoutAConnection) {
  open();
  const CallId id = wait(1, LockMode::kExclusive, 0, 10);
  core.disconnected();
  take(core.interrupt(id));
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  open(1, 1s, 1s);
  EXPECT_EQ(core.open_calls(), 2u) << "the request and its cancel, sent again until settled";
}

TEST_F(ClientInterruptTest, TheWaitIsCancelledAndNothingElseIfNoGrantCrossed) {
  open();
  const CallId id = wait(1, LockMode::kExclusive, 0, 10);
  take(core.interrupt(id));
  const auto cancel = requests();
  ASSERT_EQ(cancel.size(), 1u);
  EXPECT_EQ(std::get<CancelRequest>(cancel[0].command).target, RequestNumber{1});
  reply(1, Refused{LockErrc::kInterrupted});
  reply(2, Done{});
  EXPECT_TRUE(requests().empty());
  EXPECT_EQ(core.open_calls(), 0u);
  EXPECT_EQ(completed.size(), 1u);
}

TEST_F(ClientInterruptTest, ACrossingGrantIsUnlocked) {
  open();
  const CallId id = wait(1, LockMode::kExclusive, 5, 10);
  take(core.interrupt(id));
  requests();
  reply(1, Granted{{1}});
  const auto back = requests();
  ASSERT_EQ(back.size(), 1u);
  const auto& unlock = std::get<UnlockRequest>(back[0].command);
  EXPECT_EQ(unlock.owner, OwnerId{1});
  EXPECT_EQ(unlock.range, *ByteRange::make(5, 10));
  EXPECT_EQ(completed.size(), 1u);
}

TEST_F(ClientInterruptTest, ACrossingUpgradeGoesBackToWhatWasHeld) {
  open();
  hold(1, LockMode::kShared, 0, 100);
  hold(1, LockMode::kExclusive, 60, 70);
  const CallId id = wait(1, LockMode::kExclusive, 50, 150);
  take(core.interrupt(id));
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  requests();
  reply(3, Granted{{3}});
  const auto back = requests();
  ASSERT_EQ(back.size(), 4u);
  const auto restored = [&](std::size_t i) { return std::get<LockRequest>(back[i].command); };
  EXPECT_EQ(restored(0).range, *ByteRange::make(50, 60));
  EXPECT_EQ(restored(0).mode, LockMode::kShared);
  EXPECT_EQ(restored(1).range, *ByteRange::make(60, 70));
  EXPECT_EQ(restored(1).mode, LockMode::kExclusive);
  EXPECT_EQ(restored(2).range, *ByteRange::make(70, 100));
  EXPECT_EQ(restored(2).mode, LockMode::kShared);
  EXPECT_EQ(restored(2).wait, Wait::kNo);
  EXPECT_EQ(std::get<UnlockRequest>(back[3].command).range, *ByteRange::make(100, 150));
}

TEST_F(ClientInterruptTest, AGrantThatWeakensAnExclusiveLockWaitsForTheVerdict) {
  open();
  hold(1, LockMode::kExclusive, 0, 10);
  const CallId id = wait(1, LockMode::kShared, 0, 100);
  take(core.interrupt(id));
  EXPECT_FALSE(outcome_of(id)) << "giving it back could fail: another reader may be in";
  EXPECT_EQ(requests().size(), 1u) << "but it is cancelled";
  reply(2, Granted{{2}});
  EXPECT_TRUE(std::holds_alternative<Granted>(*outcome_of(id)));
}

TEST_F(ClientInterruptTest, TwoOpenRequestsOfOneOwnerWaitForTheVerdict) {
  open();
  const CallId one = wait(1, LockMode::kExclusive, 0, 10);
  wait(1, LockMode::kExclusive, 5, 20);
  take(core.interrupt(one));
  EXPECT_FALSE(outcome_of(one));
  requests();
  reply(1, Refused{LockErrc::kInterrupted});
  EXPECT_EQ(error_of(one), LockErrc::kInterrupted);
}

TEST_F(ClientInterruptTest, LaterRequestsForTheFileWaitUntilItIsSettled) {
  open();
  const CallId id = wait(1, LockMode::kExclusive, 0, 10);
  take(core.interrupt(id));
  requests();
  const CallId later = call(lock(1, LockMode::kShared, 0, 10));
  LockRequest elsewhere = lock(1, LockMode::kShared, 0, 10);
  elsewhere.file.fileid = 2;
  call(elsewhere);
  const auto passed = requests();
  ASSERT_EQ(passed.size(), 1u) << "only the other file's";
  EXPECT_EQ(std::get<LockRequest>(passed[0].command).file.fileid, 2u);
  reply(1, Granted{{1}});
  const auto then = requests();
  ASSERT_EQ(then.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<UnlockRequest>(then[0].command)) << "given back first";
  EXPECT_EQ(std::get<LockRequest>(then[1].command).mode, LockMode::kShared);
  reply(then[1].number.value, Granted{{2}});
  EXPECT_TRUE(std::holds_alternative<Granted>(*outcome_of(later)));
}

TEST_F(ClientInterruptTest, TheSettlementSurvivesAReconnect) {
  open();
  const CallId id = wait(1, LockMode::kExclusive, 0, 10);
  core.disconnected();
  take(core.interrupt(id));
  take(core.connected(at(1s)));
  say(welcome_of(1), 1s);
  const auto again = requests();
  ASSERT_EQ(again.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<LockRequest>(again[0].command));
  EXPECT_TRUE(std::holds_alternative<CancelRequest>(again[1].command));
  reply(1, Granted{{1}});
  reply(2, Done{});
  const auto back = requests();
  ASSERT_EQ(back.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<UnlockRequest>(back[0].command));
  reply(back[0].number.value, Done{});
  EXPECT_EQ(core.open_calls(), 0u);
}

TEST_F(ClientInterruptTest, RepliesOutOfOrderLeaveDoubtAndDoubtWaitsForTheVerdict) {
  open();
  wait(1, LockMode::kExclusive, 0, 10);
  call(UnlockRequest{kFile, LockSpace::kRange, {1}, *ByteRange::make(0, 10)});
  core.disconnected();
  open(1, 1s, 1s);
  reply(1, Granted{{1}});  // lockd did the unlock first, but kept replies come in number order
  reply(2, Done{});
  last_ = 2;
  const CallId id = wait(1, LockMode::kExclusive, 0, 20);
  take(core.interrupt(id));
  EXPECT_FALSE(outcome_of(id));
}

TEST_F(ClientInterruptTest, OnlyLocksCanBeInterrupted) {
  open();
  const CallId id = call(UnlockRequest{kFile, LockSpace::kRange, {1}, ByteRange::whole_file()});
  requests();
  take(core.interrupt(id));
  EXPECT_FALSE(outcome_of(id));
  EXPECT_TRUE(requests().empty());
}

TEST_F(ClientInterruptTest, LossSettlesEverything) {
  open();
  hold(9, LockMode::kShared, 100, 200);
  const CallId id = wait(1, LockMode::kExclusive, 0, 10);
  take(core.interrupt(id));
  say(SessionEnded{});
  EXPECT_EQ(completed.size(), 2u) << "told once, as interrupted";
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  open(2, 1s, 1s);
  call(lock(1, LockMode::kShared));
  EXPECT_EQ(requests().size(), 1u) << "nothing of the old session holds it up";
}

TEST_F(ClientInterruptTest, AFlockThatGaveUpItsOldLockToWaitGivesAllBack) {
  open();
  const auto flock = [](LockMode mode) {
    LockRequest request = lock(1, mode);
    request.space = LockSpace::kFlock;
    request.range = ByteRange::whole_file();
    return request;
  };
  call(flock(LockMode::kShared));
  reply(1, Granted{{1}});
  call(flock(LockMode::kExclusive));
  reply(2, Refused{LockErrc::kWouldBlock});
  const CallId id = call(flock(LockMode::kExclusive));
  requests();
  take(core.interrupt(id));
  requests();
  reply(3, Granted{{2}});
  const auto back = requests();
  ASSERT_EQ(back.size(), 1u) << "the shared lock is not made anew: lockd had taken it";
  EXPECT_TRUE(std::holds_alternative<UnlockRequest>(back[0].command));
}

// Found by the simulator (seed 604624). Else a program that was told EINTR, and takes its lock for
// lost as on a local file, would keep others waiting until it closes the file.
TEST_F(ClientInterruptTest, AFlockThatIsConvertedAtOnceGivesAllBackToo) {
  open();
  call(flock(1, LockMode::kShared));
  reply(1, Granted{{1}});
  const CallId id = call(flock(1, LockMode::kExclusive));
  requests();
  take(core.interrupt(id));
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  requests();
  reply(2, Granted{{2}});
  const auto back = requests();
  ASSERT_EQ(back.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<UnlockRequest>(back[0].command));
}

// As on Linux, where the old lock goes before anything is waited for.
TEST_F(ClientInterruptTest, AConversionThatWasNeverSentLosesTheOldLockAllTheSame) {
  open();
  ClientCoreTest::hold(flock(1, LockMode::kShared));
  core.disconnected();
  const CallId id = call(flock(1, LockMode::kExclusive));
  take(core.interrupt(id));
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  take(core.interrupt(id));  // once more says nothing
  take(core.connected(at(1s)));
  say(welcome_of(1), 1s);
  const auto asked = requests();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<UnlockRequest>(asked[0].command));
  reply(asked[0].number.value, Done{});
  EXPECT_EQ(core.locks(), 0u);
  EXPECT_EQ(core.open_calls(), 0u);
  EXPECT_EQ(completed.size(), 2u) << "each caller heard once";
}

TEST_F(ClientInterruptTest, TheUnlockOfAConversionThatWasNeverSentOutlivesARestart) {
  open();
  ClientCoreTest::hold(flock(1, LockMode::kShared));
  core.disconnected();
  take(core.interrupt(call(flock(1, LockMode::kExclusive))));
  EXPECT_EQ(restart().locks.size(), 1u) << "nobody has unlocked it yet";
  const auto asked = requests();
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<UnlockRequest>(asked[0].command));
}

TEST_F(ClientInterruptTest, AFlockThatIsAskedForAgainIsKept) {
  open();
  call(flock(1, LockMode::kShared));
  reply(1, Granted{{1}});
  const CallId id = call(flock(1, LockMode::kShared));
  requests();
  take(core.interrupt(id));
  requests();
  reply(2, Granted{{2}});
  const auto back = requests();
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(std::get<LockRequest>(back[0].command).mode, LockMode::kShared);
}

}  // namespace
}  // namespace holdfast::fs
