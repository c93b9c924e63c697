#include "tests/unit/lockd/driver.h"

#include <gmock/gmock.h>

namespace holdfast::lockd::test {
namespace {

struct Waiting : testing::Test {
  Driver d;
  SessionId one = d.open();
  SessionId two = d.open();
  SessionId three = d.open();

  RequestNumber wait(SessionId session, OwnerId owner, LockMode mode, ByteRange range,
                     FileKey file = kFile) {
    return d.send(session, lock(owner, mode, range, Wait::kYes, file));
  }
  bool waits(SessionId session, RequestNumber number) { return !d.answer(session, number); }
  bool has(SessionId session, RequestNumber number) { return granted(d.answer(session, number)); }
};

TEST_F(Waiting, ABlockedRequestIsGrantedWhenTheHolderUnlocks) {
  d.ask(one, lock(kA, kX, bytes(0, 10)));
  const auto w = wait(two, kA, kX, byte(5));
  EXPECT_TRUE(waits(two, w));
  d.ask(one, unlock(kA, bytes(0, 5)));
  EXPECT_TRUE(waits(two, w));
  d.ask(one, unlock(kA, bytes(5, 10)));
  EXPECT_TRUE(has(two, w));
  EXPECT_TRUE(refused(d.ask(one, lock(kA, kS, byte(5))), LockErrc::kWouldBlock));
}

TEST_F(Waiting, WaitersAreServedInOrderOfArrival) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w1 = wait(two, kA, kX, byte(0));
  const auto w2 = wait(three, kA, kX, byte(0));
  d.ask(one, unlock(kA, byte(0)));
  EXPECT_TRUE(has(two, w1));
  EXPECT_TRUE(waits(three, w2));
  d.ask(two, unlock(kA, byte(0)));
  EXPECT_TRUE(has(three, w2));
}

TEST_F(Waiting, OneReleaseGrantsAllReadersInOrder) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w1 = wait(three, kA, kS, byte(0));
  const auto w2 = wait(two, kA, kS, byte(0));
  d.sent_order.clear();
  const auto u = d.send(one, unlock(kA, byte(0)));
  EXPECT_THAT(d.sent_order,
              testing::ElementsAre(std::pair(one, u), std::pair(three, w1), std::pair(two, w2)));
}

TEST_F(Waiting, ANewcomerDoesNotOvertakeAWaiterItConflictsWith) {
  d.ask(one, lock(kA, kS, byte(0)));
  const auto writer = wait(two, kA, kX, byte(0));
  EXPECT_TRUE(refused(d.ask(three, lock(kA, kS, byte(0))), LockErrc::kWouldBlock));
  const auto reader = wait(three, kA, kS, byte(0));
  EXPECT_TRUE(waits(three, reader));
  d.ask(one, unlock(kA, byte(0)));
  EXPECT_TRUE(has(two, writer));
  EXPECT_TRUE(waits(three, reader));
  d.ask(two, unlock(kA, byte(0)));
  EXPECT_TRUE(has(three, reader));
}

TEST_F(Waiting, ANewcomerPassesWaitersItDoesNotConflictWith) {
  d.ask(one, lock(kA, kX, byte(0)));
  wait(two, kA, kX, byte(0));
  EXPECT_TRUE(granted(d.ask(three, lock(kA, kX, byte(1)))));
}

TEST_F(Waiting, WhoHoldsSomethingInTheFileMayOvertake) {
  d.ask(one, lock(kA, kS, byte(0)));
  wait(two, kA, kX, bytes(0, 10));
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kS, byte(5)))));
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, byte(0)))));
}

TEST_F(Waiting, UpgradeKeepsTheSharedLockWhileWaiting) {
  d.ask(one, lock(kA, kS, byte(0)));
  d.ask(two, lock(kA, kS, byte(0)));
  const auto w = wait(one, kA, kX, byte(0));
  EXPECT_TRUE(refused(d.ask(three, lock(kA, kX, byte(0))), LockErrc::kWouldBlock));
  EXPECT_EQ(conflict(d.ask(three, query(kB, kX, byte(0))))->mode, kS);
  d.ask(two, unlock(kA, byte(0)));
  EXPECT_TRUE(has(one, w));
}

TEST_F(Waiting, DowngradeGrantsWaitingReaders) {
  d.ask(one, lock(kA, kX, bytes(0, 10)));
  const auto w = wait(two, kA, kS, bytes(2, 4));
  d.ask(one, lock(kA, kS, bytes(0, 10)));
  EXPECT_TRUE(has(two, w));
}

TEST_F(Waiting, CancelEndsTheWait) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w = wait(two, kA, kX, byte(0));
  EXPECT_TRUE(done(d.ask(two, CancelRequest{w})));
  EXPECT_TRUE(refused(d.answer(two, w), LockErrc::kInterrupted));
  d.ask(one, unlock(kA, byte(0)));
  EXPECT_TRUE(granted(d.ask(three, lock(kA, kX, byte(0)))));
}

TEST_F(Waiting, CancelOfAnAnsweredOrUnknownOrForeignRequestIsNoError) {
  const auto first = d.send(one, lock(kA, kX, byte(0)));
  const auto w = wait(two, kA, kX, byte(0));
  EXPECT_TRUE(done(d.ask(one, CancelRequest{first})));
  EXPECT_TRUE(granted(d.answer(one, first)));
  EXPECT_TRUE(done(d.ask(one, CancelRequest{RequestNumber{999}})));
  EXPECT_TRUE(done(d.ask(three, CancelRequest{w})));
  EXPECT_TRUE(waits(two, w));
}

TEST_F(Waiting, ACancelledWaiterNoLongerHoldsUpThoseBehindIt) {
  d.ask(one, lock(kA, kS, byte(0)));
  const auto writer = wait(two, kA, kX, byte(0));
  const auto reader = wait(three, kA, kS, byte(0));
  d.ask(two, CancelRequest{writer});
  EXPECT_TRUE(has(three, reader));
}

TEST_F(Waiting, ReleaseHandleCancelsItsWaiters) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w = d.send(two, through(HandleId{5}, lock(kA, kX, byte(0), Wait::kYes)));
  const auto other = d.send(two, through(HandleId{6}, lock(kB, kX, byte(0), Wait::kYes)));
  d.ask(two, ReleaseHandleRequest{kFile, HandleId{5}});
  EXPECT_TRUE(refused(d.answer(two, w), LockErrc::kInterrupted));
  EXPECT_TRUE(waits(two, other));
}

TEST_F(Waiting, ReleaseOwnerCancelsNothing) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w = wait(two, kA, kX, byte(0));
  d.ask(two, ReleaseOwnerRequest{kFile, kA});
  EXPECT_TRUE(waits(two, w));
}

TEST_F(Waiting, WaitersOfAnEndedSessionAreGone) {
  d.ask(one, lock(kA, kX, byte(0)));
  wait(two, kA, kX, byte(0));
  const auto w = wait(three, kA, kS, byte(0));
  d.goodbye(two);
  d.ask(one, unlock(kA, byte(0)));
  EXPECT_TRUE(has(three, w));
}

// ---- flock

TEST_F(Waiting, FlockIsASpaceOfItsOwn) {
  EXPECT_TRUE(granted(d.ask(one, flock(kA, kX))));
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kX, ByteRange::whole_file()))));
  EXPECT_TRUE(refused(d.ask(two, flock(kA, kS)), LockErrc::kWouldBlock));
}

TEST_F(Waiting, AFailedFlockConversionLosesTheOldLock) {
  d.ask(one, flock(kA, kS));
  d.ask(two, flock(kA, kS));
  EXPECT_TRUE(refused(d.ask(one, flock(kA, kX)), LockErrc::kWouldBlock));
  EXPECT_TRUE(granted(d.ask(two, flock(kA, kX))));
}

TEST_F(Waiting, TwoFlockUpgradersDoNotDeadlock) {
  d.ask(one, flock(kA, kS));
  d.ask(two, flock(kA, kS));
  const auto w = d.send(one, flock(kA, kX, Wait::kYes));
  EXPECT_TRUE(waits(one, w));
  EXPECT_TRUE(granted(d.ask(two, flock(kA, kX, Wait::kYes))));
  d.ask(two, unlock(kA, ByteRange::whole_file(), kFile, LockSpace::kFlock));
  EXPECT_TRUE(has(one, w));
}

TEST_F(Waiting, AFlockConversionWithNobodyInTheWaySucceedsAtOnce) {
  d.ask(one, flock(kA, kS));
  const auto w = d.send(two, flock(kA, kX, Wait::kYes));
  EXPECT_TRUE(granted(d.ask(one, flock(kA, kX))));
  EXPECT_TRUE(waits(two, w));
  EXPECT_TRUE(granted(d.ask(one, flock(kA, kS))));
  EXPECT_TRUE(waits(two, w));
}

TEST_F(Waiting, RepeatingAFlockKeepsIt) {
  d.ask(one, flock(kA, kS));
  d.send(two, flock(kA, kX, Wait::kYes));
  EXPECT_TRUE(granted(d.ask(one, flock(kA, kS))));
}

TEST_F(Waiting, FlockOfARangeIsABadRequest) {
  auto request = flock(kA, kS);
  request.range = byte(0);
  EXPECT_TRUE(refused(d.ask(one, request), LockErrc::kBadRequest));
  EXPECT_TRUE(
      refused(d.ask(one, unlock(kA, byte(0), kFile, LockSpace::kFlock)), LockErrc::kBadRequest));
}

// ---- Patience

TEST_F(Waiting, AReaderBehindAWriterOvertakesWhenPatienceEnds) {
  // one waits for three outside of our sight: a parent that holds shared and waits for its child.
  d.ask(one, lock(kA, kS, byte(0)));
  const auto writer = wait(two, kA, kX, byte(0));
  const auto child = wait(three, kA, kS, byte(0));
  EXPECT_EQ(d.core.next_deadline(), d.now() + 5s);
  d.pass(4s);
  EXPECT_TRUE(waits(three, child));
  d.pass(1s);
  EXPECT_TRUE(has(three, child));
  EXPECT_TRUE(waits(two, writer));
  EXPECT_EQ(d.core.probe().overtakes, 1U);
}

TEST_F(Waiting, PatienceDoesNotReorderThoseWhomAHolderBlocks) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w1 = wait(two, kA, kX, byte(0));
  const auto w2 = wait(three, kA, kX, byte(0));
  d.pass(6s);
  EXPECT_EQ(d.core.probe().overtakes, 0U);
  d.ask(one, unlock(kA, byte(0)));
  EXPECT_TRUE(has(two, w1));
  EXPECT_TRUE(waits(three, w2));
}

}  // namespace
}  // namespace holdfast::lockd::test
