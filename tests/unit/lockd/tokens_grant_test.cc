// Who gets which token, and who decides locks (docs/tokens.md, T1 to T4, "What is granted").
#include "tests/unit/lockd/tokens_kit.h"

namespace holdfast::lockd::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct TokenGrantTest : TokenTest {};

TEST_F(TokenGrantTest, WhoIsAloneGetsEverything) {
  EXPECT_EQ(d.got(a, d.read(a)), kEX);
  EXPECT_EQ(d.got(b, d.write(b, kOther)), kEX);
  EXPECT_EQ(d.got(c, d.through(c, kShm)), kCW);
  EXPECT_THAT(d.recalls, IsEmpty());
}

TEST_F(TokenGrantTest, T1_AReaderWaitsUntilTheWriterHasComeDown) {
  const auto ta = d.write(a);
  const auto rb = d.read(b);
  EXPECT_FALSE(d.got(b, rb));
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(ta, kPR)));
  EXPECT_TRUE(done(d.release(a, ta, kPR)));
  EXPECT_EQ(d.got(b, rb), kPR);
  EXPECT_EQ(d.got(c, d.read(c)), kPR) << "readers do not disturb each other";
  EXPECT_THAT(d.recalls, IsEmpty());
}

TEST_F(TokenGrantTest, T1_AWriterWaitsForAllReaders) {
  const auto ta = d.read(a);
  const auto rb = d.read(b);
  d.release(a, ta, kPR);
  const auto wc = d.write(c);
  EXPECT_THAT(d.recalled(b), ElementsAre(recall_of(rb, kEX)));
  d.release(a, ta);
  EXPECT_FALSE(d.got(c, wc));
  d.release(b, rb);
  EXPECT_EQ(d.got(c, wc), kEX);
}

TEST_F(TokenGrantTest, WhoGivesAllUpLeavesAllToTheReader) {
  const auto ta = d.write(a);
  const auto rb = d.read(b);
  d.release(a, ta);
  EXPECT_EQ(d.got(b, rb), kEX);
}

TEST_F(TokenGrantTest, InUseMeansThroughForEverybody) {
  const auto ta = d.write(a);
  const auto wb = d.write(b);
  const auto rc = d.read(c);
  EXPECT_TRUE(done(d.release(a, ta, kCW)));
  EXPECT_EQ(d.got(b, wb), kCW);
  EXPECT_GT(d.ask_again(b, wb), 0ms);
  EXPECT_EQ(d.got(c, rc), kCW) << "nobody is asked a second time";
  EXPECT_THAT(d.recalled(b), IsEmpty());
}

TEST_F(TokenGrantTest, OneRequestAtATimeInTheOrderOfArrival) {
  const auto ta = d.write(a);
  const auto wb = d.write(b);
  const auto wc = d.through(c);
  d.release(a, ta);
  EXPECT_EQ(d.got(b, wb), kEX);
  EXPECT_FALSE(d.got(c, wc));
  EXPECT_THAT(d.recalled(b), ElementsAre(recall_of(wb, kCW)));
  d.release(b, wb, kCW);
  EXPECT_EQ(d.got(c, wc), kCW);
  EXPECT_EQ(d.ask_again(c, wc), 0ms) << "it wanted no more";
}

TEST_F(TokenGrantTest, AReaderThatIsAloneCanWrite) {
  const auto ta = d.write(a);
  const auto rb = d.read(b);
  d.release(a, ta, kPR);
  d.release(a, ta);
  const auto wb = d.write(b);
  EXPECT_EQ(d.got(b, wb), kEX);
  EXPECT_TRUE(done(d.release(b, rb, kNL))) << "that one is of the past";
  EXPECT_EQ(d.got(b, d.read(b)), kEX) << "still";
}

TEST_F(TokenGrantTest, WhoIsAskedToComeDownAndHasNotIsAskedAgain) {
  const auto ta = d.write(a);
  const auto wb = d.write(b);
  d.recalled(a);
  d.release(a, ta, kPR);
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(ta, kEX))) << "PR is in the way, too";
  d.release(a, ta);
  EXPECT_EQ(d.got(b, wb), kEX);
}

// A writes through once it has CW: all others must have dropped what they kept before.
TEST_F(TokenGrantTest, T1_FromReadToThroughAllGoTogether) {
  const auto ta = d.read(a);
  const auto rb = d.read(b);
  d.release(a, ta, kPR);
  const auto wc = d.write(c);
  const auto down_a = d.send(a, TokenRelease{.file = kFile, .token = ta, .keep = kCW});
  EXPECT_FALSE(d.answer(a, down_a));
  EXPECT_FALSE(d.got(c, wc));
  const auto down_b = d.send(b, TokenRelease{.file = kFile, .token = rb, .keep = kCW});
  EXPECT_TRUE(done(d.answer(a, down_a)));
  EXPECT_TRUE(done(d.answer(b, down_b)));
  EXPECT_EQ(d.got(c, wc), kCW);
}

TEST_F(TokenGrantTest, T1_AGrantNeverLowers) {
  const auto ta = d.read(a);
  const auto rb = d.read(b);
  d.release(a, ta, kPR);
  d.recalled(a);
  const auto wa = d.write(a);  // has PR itself
  const auto down = d.send(b, TokenRelease{.file = kFile, .token = rb, .keep = kCW});
  EXPECT_FALSE(d.answer(b, down));
  EXPECT_FALSE(d.got(a, wa));
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(ta, kCW))) << "what it keeps must go first";
  d.release(a, ta);
  EXPECT_TRUE(done(d.answer(b, down)));
  EXPECT_EQ(d.got(a, wa), kCW);
}

TEST_F(TokenGrantTest, AReleaseToThroughRecallsTheOtherReadersAlsoIfNobodyAsks) {
  const auto ta = d.read(a);
  const auto rb = d.read(b);
  d.release(a, ta, kPR);
  d.recalled(a);
  const auto down = d.send(a, TokenRelease{.file = kFile, .token = ta, .keep = kCW});
  EXPECT_THAT(d.recalled(b), ElementsAre(recall_of(rb, kCW)));
  d.release(b, rb);
  EXPECT_TRUE(done(d.answer(a, down)));
}

TEST_F(TokenGrantTest, WhoReadsAndWantsThroughComesDownItself) {
  const auto ta = d.read(a);
  const auto rb = d.read(b);
  d.release(a, ta, kPR);
  const auto ra = d.through(a);
  EXPECT_THAT(d.recalled(b), ElementsAre(recall_of(rb, kCW)));
  d.release(b, rb);
  EXPECT_FALSE(d.got(a, ra));
  d.release(a, ta, kCW);
  EXPECT_EQ(d.got(a, ra), kCW);
}

// ---- Locks

TEST_F(TokenGrantTest, T2_WhoHasLocksHereKeepsOthersFromDeciding) {
  EXPECT_TRUE(granted(d.ask(a, lock(kA, kS, byte(0)))));
  const auto rb = d.read(b);
  EXPECT_EQ(d.got(b, rb), kCW);
  EXPECT_THAT(d.recalls, IsEmpty());
  d.ask(a, unlock(kA, byte(0)));
  d.pass(600ms);
  EXPECT_EQ(d.got(b, d.read(b)), kEX);
}

TEST_F(TokenGrantTest, T2_WithExOnesOwnLocksAreForgottenHere) {
  d.ask(a, lock(kA, kX, byte(0)));
  d.ask(a, flock(kB, kS));
  EXPECT_EQ(d.got(a, d.write(a)), kEX);
  EXPECT_TRUE(d.core.list_locks(d.now(), 10).locks.empty());
  EXPECT_EQ(d.core.list_sessions(d.now()).sessions.at(2).locks, 0U);
}

TEST_F(TokenGrantTest, T2_WhoWaitsForALockDecidesNone) {
  d.ask(a, lock(kA, kX, byte(0)));
  const auto w = d.send(a, lock(kB, kX, byte(0), Wait::kYes));
  EXPECT_EQ(d.got(a, d.write(a)), kCW);
  EXPECT_FALSE(d.answer(a, w));
  d.ask(a, unlock(kA, byte(0)));
  EXPECT_TRUE(granted(d.answer(a, w)));
}

TEST_F(TokenGrantTest, T2_NobodyElseLocksWhatAMountDecides) {
  const auto ta = d.write(a);
  for (const SessionId session : {a, b}) {
    EXPECT_TRUE(refused(d.ask(session, lock(kA, kS, byte(0))), LockErrc::kBadRequest));
    EXPECT_TRUE(refused(d.ask(session, query(kA, kS, byte(0))), LockErrc::kBadRequest));
    EXPECT_TRUE(done(d.ask(session, unlock(kA, byte(0))))) << "that is never wrong";
  }
  EXPECT_TRUE(granted(d.ask(b, lock(kA, kS, byte(0), Wait::kNo, kOther))));
  d.release(a, ta, kCW);
  EXPECT_TRUE(granted(d.ask(b, lock(kA, kS, byte(0)))));
}

TEST_F(TokenGrantTest, T4_LocksAreHereBeforeAnybodyElseIs) {
  const auto ta = d.write(a);
  const auto wb = d.through(b);
  EXPECT_TRUE(done(d.push(a, ta, {held_lock(kA, kX, byte(0)), held_lock(kB, kS, byte(5))})));
  EXPECT_FALSE(d.got(b, wb)) << "pushed, not released";
  EXPECT_TRUE(done(d.release(a, ta, kCW)));
  EXPECT_EQ(d.got(b, wb), kCW);
  EXPECT_TRUE(refused(d.ask(b, lock(kA, kX, byte(0))), LockErrc::kWouldBlock));
  EXPECT_TRUE(refused(d.ask(b, lock(kA, kX, byte(5))), LockErrc::kWouldBlock));
  EXPECT_TRUE(granted(d.ask(b, lock(kA, kS, byte(5)))));
}

TEST_F(TokenGrantTest, T4_OnlyWhoDecidesLocksHasSomeToPush) {
  const auto ta = d.through(a);
  EXPECT_TRUE(refused(d.push(a, ta, {held_lock(kA, kX, byte(0))}), LockErrc::kBadRequest));
  const auto tb = d.write(b, kOther);
  EXPECT_TRUE(
      refused(d.push(b, tb, {held_lock(kA, kX, byte(0), kFile)}, kOther), LockErrc::kBadRequest))
      << "all of one file";
  EXPECT_TRUE(done(d.push(b, RequestNumber{77}, {held_lock(kA, kX, byte(0), kOther)}, kOther)));
  EXPECT_TRUE(d.core.list_locks(d.now(), 10).locks.empty()) << "of the past";
}

TEST_F(TokenGrantTest, T4_AReaderPushesSharedLocksOnly) {
  const auto ta = d.read(a);
  const auto rb = d.read(b);
  d.release(a, ta, kPR);
  EXPECT_TRUE(refused(d.push(a, ta, {held_lock(kA, kX, byte(0))}), LockErrc::kBadRequest));
  EXPECT_TRUE(done(d.push(a, ta, {held_lock(kA, kS, byte(0))})));
  EXPECT_TRUE(done(d.push(b, rb, {held_lock(kA, kS, byte(0))})));
  const auto down = d.send(a, TokenRelease{.file = kFile, .token = ta, .keep = kCW});
  d.release(b, rb, kCW);
  EXPECT_TRUE(done(d.answer(a, down)));
  EXPECT_EQ(d.core.list_locks(d.now(), 10).locks.size(), 2U);
}

TEST_F(TokenGrantTest, AReleaseOnlyComesDown) {
  const auto ta = d.write(a);
  EXPECT_TRUE(refused(d.release(a, ta, kEX), LockErrc::kBadRequest));
  EXPECT_TRUE(done(d.release(a, ta, kCW)));
  EXPECT_TRUE(refused(d.release(a, ta, kPR), LockErrc::kBadRequest));
  EXPECT_TRUE(refused(d.release(a, ta, kEX), LockErrc::kBadRequest));
  EXPECT_TRUE(done(d.release(a, ta, kCW)));
  EXPECT_TRUE(done(d.release(a, ta)));
  EXPECT_TRUE(done(d.release(a, ta))) << "of the past";
}

// ---- The wal-index

TEST_F(TokenGrantTest, TheWalIndexOfAnExclusiveDatabaseIsOnesOwn) {
  const auto ta = d.write(a);
  EXPECT_TRUE(done(d.ask(a, ClaimWalRequest{kFile})));
  EXPECT_TRUE(refused(d.ask(b, ClaimWalRequest{kFile}), LockErrc::kBadRequest));
  const auto rb = d.read(b);
  d.push(a, ta, {held_lock(kA, kS, kDatabaseByte)});
  d.release(a, ta, kCW);
  EXPECT_EQ(d.got(b, rb), kCW);
  EXPECT_TRUE(refused(d.ask(b, lock(kA, kS, kDatabaseByte)), LockErrc::kWalOwnedElsewhere));
  d.ask(a, unlock(kA, kDatabaseByte));
  EXPECT_TRUE(granted(d.ask(b, lock(kA, kS, kDatabaseByte)))) << "its last lock was that";
}

TEST_F(TokenGrantTest, TheWalIndexGoesWithTheTokenIfNoLockStays) {
  const auto ta = d.write(a);
  d.ask(a, ClaimWalRequest{kFile});
  const auto rb = d.read(b);
  d.release(a, ta);
  EXPECT_EQ(d.got(b, rb), kEX);
  EXPECT_TRUE(done(d.ask(b, ClaimWalRequest{kFile})));
}

TEST_F(TokenGrantTest, TheWalIndexStaysWhenItsLocksAreForgotten) {
  d.ask(a, lock(kA, kS, kDatabaseByte));
  d.ask(a, ClaimWalRequest{kFile});
  const auto ta = d.write(a);
  EXPECT_EQ(d.got(a, ta), kEX);
  EXPECT_EQ(d.core.list_locks(d.now(), 10).locks.size(), 1U) << "the ownership";
  d.release(a, ta, kCW);
  EXPECT_TRUE(d.core.list_locks(d.now(), 10).locks.empty());
}

TEST_F(TokenGrantTest, ANeighboursWalIndexIsInTheWay) {
  d.ask(a, lock(kA, kS, kDatabaseByte));
  d.ask(a, ClaimWalRequest{kFile});
  LockRequest shm = lock(kA, kS, byte(120), Wait::kNo, kShm);
  shm.wal_database = kFile;
  EXPECT_TRUE(granted(d.ask(a, shm)));
  EXPECT_EQ(d.got(b, d.write(b)), kCW);
  d.ask(a, unlock(kA, byte(120), kShm));
  EXPECT_EQ(d.got(b, d.write(b, kShm)), kCW) << "tied to it, though nothing is locked";
}

// ---- Limits

TEST(TokenLimits, AreRefused) {
  Options options = real_options();
  options.limits.tokens_per_session_max = 2;
  options.limits.token_waiters_per_file_max = 1;
  TokenDriver d{options};
  const SessionId a = d.open();
  const SessionId b = d.open();
  const SessionId c = d.open();
  d.write(a, kFile);
  d.write(a, kOther);
  EXPECT_TRUE(refused(d.answer(a, d.write(a, kShm)), LockErrc::kTooManyFiles));
  EXPECT_EQ(d.got(a, d.write(a, kFile)), kEX) << "it has that one";
  d.write(b);
  EXPECT_TRUE(refused(d.answer(c, d.write(c)), LockErrc::kTooManyWaiters));
  EXPECT_EQ(d.core.probe().limit_hits.total(), 2U);
}

}  // namespace
}  // namespace holdfast::lockd::test
