#include "tests/unit/lockd/driver.h"

namespace holdfast::lockd::test {
namespace {

struct Deadlock : testing::Test {
  Driver d;
  SessionId one = d.open();
  SessionId two = d.open();
  SessionId three = d.open();

  RequestNumber wait(SessionId session, OwnerId owner, LockMode mode, ByteRange range,
                     FileKey file = kFile) {
    return d.send(session, lock(owner, mode, range, Wait::kYes, file));
  }
  bool waits(SessionId session, RequestNumber number) { return !d.answer(session, number); }
};

TEST_F(Deadlock, TwoUpgradersTheSecondIsTold) {
  d.ask(one, lock(kA, kS, byte(0)));
  d.ask(two, lock(kA, kS, byte(0)));
  const auto w = wait(one, kA, kX, byte(0));
  EXPECT_TRUE(waits(one, w));
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(0), Wait::kYes)), LockErrc::kDeadlock));
  EXPECT_TRUE(conflict(d.ask(three, query(kC, kX, byte(0))))) << "both kept their shared locks";
  d.ask(two, unlock(kA, byte(0)));
  EXPECT_TRUE(granted(d.answer(one, w)));
}

TEST_F(Deadlock, ACycleAcrossFilesAndSessionsIsFound) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(two, lock(kA, kX, byte(0), Wait::kNo, kOther));
  d.ask(three, lock(kA, kX, byte(7)));
  wait(one, kA, kX, byte(0), kOther);
  wait(two, kA, kX, byte(7));
  EXPECT_TRUE(refused(d.ask(three, lock(kA, kX, byte(0), Wait::kYes)), LockErrc::kDeadlock));
  EXPECT_EQ(d.core.probe().deadlocks, 1U);
}

TEST_F(Deadlock, ALongChainIsFollowedBeyondLinuxTenSteps) {
  constexpr std::uint64_t kLength = 100;
  for (std::uint64_t i = 0; i < kLength; ++i)
    EXPECT_TRUE(granted(d.ask(one, lock(OwnerId{i + 1}, kX, byte(i)))));
  for (std::uint64_t i = 0; i + 1 < kLength; ++i)
    wait(one, OwnerId{i + 1}, kX, byte(i + 1));
  EXPECT_TRUE(
      refused(d.ask(one, lock(OwnerId{kLength}, kX, byte(0), Wait::kYes)), LockErrc::kDeadlock));
}

TEST_F(Deadlock, AChainWithoutCycleIsNone) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(two, lock(kA, kX, byte(1)));
  const auto w1 = wait(two, kA, kX, byte(0));
  const auto w2 = wait(three, kA, kX, byte(1));
  EXPECT_TRUE(waits(two, w1));
  EXPECT_TRUE(waits(three, w2));
}

TEST_F(Deadlock, EveryHolderCountsNotOnlyTheFirst) {
  d.ask(one, lock(kA, kS, byte(0)));
  d.ask(two, lock(kA, kS, byte(0)));
  d.ask(three, lock(kA, kX, byte(9)));
  wait(two, kA, kX, byte(9));
  EXPECT_TRUE(refused(d.ask(three, lock(kA, kX, byte(0), Wait::kYes)), LockErrc::kDeadlock));
}

TEST_F(Deadlock, UncheckedOwnersAreNeverTold) {
  d.ask(one, unchecked(lock(kA, kX, byte(0))));
  d.ask(two, lock(kA, kX, byte(1)));
  const auto w1 = d.send(one, unchecked(lock(kA, kX, byte(1), Wait::kYes)));
  const auto w2 = wait(two, kA, kX, byte(0));
  EXPECT_TRUE(waits(one, w1));
  EXPECT_TRUE(waits(two, w2));
  EXPECT_EQ(d.core.probe().deadlocks, 0U);
}

TEST_F(Deadlock, FairnessNeverClosesACycle) {
  // On Linux three's shared request would be granted at once. Behind the writer it would wait for
  // two, who waits for one, who waits for three.
  d.ask(three, lock(kA, kX, byte(0), Wait::kNo, kOther));
  d.ask(one, lock(kA, kS, byte(0)));
  const auto writer = wait(two, kA, kX, byte(0));
  const auto holder = wait(one, kA, kX, byte(0), kOther);
  EXPECT_TRUE(granted(d.ask(three, lock(kA, kS, byte(0), Wait::kYes))));
  EXPECT_TRUE(waits(two, writer));
  EXPECT_TRUE(waits(one, holder));
  EXPECT_EQ(d.core.probe().overtakes, 1U);
}

TEST_F(Deadlock, FairnessNeverClosesACycleOfUncheckedOwnersEither) {
  d.ask(three, unchecked(lock(kA, kX, byte(0), Wait::kNo, kOther)));
  d.ask(one, unchecked(lock(kA, kS, byte(0))));
  d.send(two, unchecked(lock(kA, kX, byte(0), Wait::kYes)));
  d.send(three, unchecked(lock(kA, kS, byte(0), Wait::kYes)));
  EXPECT_EQ(d.core.probe().overtakes, 0U) << "no cycle yet: fairness holds";
  d.send(one, unchecked(lock(kA, kX, byte(0), Wait::kYes, kOther)));
  EXPECT_EQ(d.core.probe().overtakes, 1U) << "the newcomer closed a cycle through three's turn";
}

TEST_F(Deadlock, AGrantToAProcessThatWaitsElsewhereCanCloseACycle) {
  // Two threads of one process: one waits for two, the other is granted what two waits for.
  d.ask(two, lock(kA, kX, byte(1)));
  d.ask(three, lock(kA, kX, byte(0)));
  const auto thread = wait(one, kA, kX, byte(0));
  const auto victim = wait(two, kA, kX, byte(0));
  wait(one, kA, kX, byte(1));
  EXPECT_TRUE(waits(two, victim));
  d.ask(three, unlock(kA, byte(0)));
  EXPECT_TRUE(granted(d.answer(one, thread)));
  EXPECT_TRUE(refused(d.answer(two, victim), LockErrc::kDeadlock));
}

// SQLite: a writer waits for its readers, one of which wants to write, too.
TEST_F(Deadlock, WhoGivesWayDoesNotWaitWhileHisOwnerIsWaitedFor) {
  d.ask(one, lock(kA, kX, byte(1)));
  d.ask(two, lock(kB, kS, byte(0)));
  const auto trying = d.send(two, gives_way(lock(kB, kX, byte(1), Wait::kYes)));
  EXPECT_TRUE(waits(two, trying)) << "nobody waits for it yet";
  const auto commit = d.send(one, unchecked(lock(kA, kX, byte(0), Wait::kYes)));
  EXPECT_TRUE(refused(*d.answer(two, trying), LockErrc::kWouldBlock));
  EXPECT_TRUE(waits(one, commit));
  EXPECT_TRUE(
      refused(d.ask(two, gives_way(lock(kB, kX, byte(1), Wait::kYes))), LockErrc::kWouldBlock))
      << "now somebody does";
  d.ask(two, unlock(kB, byte(0)));
  EXPECT_TRUE(granted(d.answer(one, commit)));
}

TEST_F(Deadlock, WhoGivesWayKeepsItsTurnIfNobodyWaitsForIt) {
  d.ask(one, lock(kA, kX, byte(1)));
  d.ask(two, lock(kB, kS, byte(0)));
  const auto first = d.send(two, gives_way(lock(kB, kX, byte(1), Wait::kYes)));
  const auto second = wait(three, kC, kX, byte(1));
  d.ask(one, unlock(kA, byte(1)));
  EXPECT_TRUE(granted(d.answer(two, first)));
  EXPECT_TRUE(waits(three, second));
}

}  // namespace
}  // namespace holdfast::lockd::test
