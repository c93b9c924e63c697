// Recalls (docs/tokens.md, T6, T7, T9) and contention.
#include "tests/unit/lockd/tokens_kit.h"

namespace holdfast::lockd::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct TokenRecallTest : TokenTest {};

TEST_F(TokenRecallTest, T6_WhatNamesAnotherTokenChangesNothing) {
  const auto first = d.write(a);
  const auto second = d.write(a);
  EXPECT_EQ(d.got(a, second), kEX) << "has it, under a new name";
  EXPECT_TRUE(done(d.release(a, first)));
  EXPECT_TRUE(done(d.push(a, first, {held_lock(kA, kX, byte(0))})));
  const auto rb = d.read(b);
  EXPECT_FALSE(d.got(b, rb)) << "the release was of the past";
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(second, kPR)));
}

TEST_F(TokenRecallTest, T7_ARecallIsSaidAgainUntilItIsAnswered) {
  const auto ta = d.write(a);
  d.read(b);
  EXPECT_THAT(d.recalled(a), SizeIs(1));
  EXPECT_EQ(d.core.next_deadline() - d.now(), 1s);
  d.pass(999ms);
  EXPECT_THAT(d.recalled(a), IsEmpty());
  d.pass(1ms);
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(ta, kPR)));
  d.pass(1s);
  EXPECT_THAT(d.recalled(a), SizeIs(1));
  d.release(a, ta);
  d.pass(1s);
  EXPECT_THAT(d.recalled(a), IsEmpty());
}

TEST_F(TokenRecallTest, T7_ARecallIsSaidAgainAfterAResume) {
  const auto ta = d.write(a);
  d.read(b);
  d.recalled(a);
  d.resume(a);
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(ta, kPR)));
}

TEST_F(TokenRecallTest, ACancelledRequestIsAnsweredAndRecallsNobodyAnyMore) {
  d.write(a);
  const auto rb = d.read(b);
  const auto rc = d.read(c);
  d.recalled(a);
  EXPECT_TRUE(done(d.ask(c, CancelRequest{rc})));
  EXPECT_TRUE(refused(d.answer(c, rc), LockErrc::kInterrupted));
  EXPECT_TRUE(done(d.ask(b, CancelRequest{rb})));
  EXPECT_TRUE(refused(d.answer(b, rb), LockErrc::kInterrupted));
  d.pass(5s);
  EXPECT_THAT(d.recalled(a), IsEmpty());
}

TEST_F(TokenRecallTest, ACancelledRequestMakesRoomForTheNext) {
  const auto ta = d.read(a);
  const auto rb = d.read(b);
  d.release(a, ta, kPR);
  const auto wb = d.write(b);
  EXPECT_THAT(d.recalled(a), ElementsAre(testing::_, recall_of(ta, kEX)));
  const auto rc = d.read(c);
  EXPECT_FALSE(d.got(c, rc));
  d.ask(b, CancelRequest{wb});
  EXPECT_EQ(d.got(c, rc), kPR);
  static_cast<void>(rb);
}

TEST_F(TokenRecallTest, T9_WhoNeverAnswersLosesTheFile) {
  d.write(a);
  const auto rb = d.read(b);
  renew_all({a, b, c}, 59s);
  renew_all({b, c}, 1s);
  EXPECT_EQ(d.core.probe().recalls_unmet, 1U);
  EXPECT_FALSE(renewed(d.core.renew(a, {}, d.now()))) << "as if an administrator had broken it";
  renew_all({b, c}, 13s);  // the lease, the write life, the storage delay
  EXPECT_EQ(d.got(b, rb), kEX);
  const auto welcome = d.resume(a);
  ASSERT_TRUE(std::holds_alternative<Welcome>(welcome));
  EXPECT_THAT(std::get<Welcome>(welcome).losses, SizeIs(1));
  EXPECT_EQ(std::get<Welcome>(welcome).losses.at(0).file, kFile);
}

TEST_F(TokenRecallTest, WhoGoesCleanlyIsWaitedForNoMore) {
  d.write(a);
  const auto rb = d.read(b);
  d.goodbye(a);
  EXPECT_EQ(d.got(b, rb), kEX);
}

TEST_F(TokenRecallTest, WhoAskedAndWentIsAnsweredNoMore) {
  const auto ta = d.write(a);
  d.read(b);
  const auto rc = d.read(c);
  d.goodbye(b);
  d.release(a, ta, kPR);
  EXPECT_EQ(d.got(c, rc), kPR);
}

// ---- Contention

struct TokenContentionTest : TokenTest {
  /// The token goes to `session`; whoever has it gives it up at once.
  TokenMode take(SessionId session) {
    const auto number = d.write(session);
    for (int rounds = 0; rounds < 10 && !d.got(session, number); ++rounds) {
      const auto recalls = std::exchange(d.recalls, {});
      for (const auto& [holder, recall] : recalls)
        d.release(holder, recall.token, recall.wanted == kCW ? kCW : kNL);
    }
    return d.got(session, number).value_or(kNL);
  }
};

TEST_F(TokenContentionTest, WhatGoesToAndFroIsKeptByNobody) {
  EXPECT_EQ(take(a), kEX);
  EXPECT_EQ(take(b), kEX);
  EXPECT_EQ(take(a), kEX);
  EXPECT_EQ(take(b), kCW) << "the third time within a second";
  EXPECT_EQ(take(a), kCW);
  const auto wc = d.write(c);
  EXPECT_EQ(d.got(c, wc), kCW) << "without recalls";
  EXPECT_EQ(d.ask_again(c, wc), 250ms);
}

TEST_F(TokenContentionTest, SlowTurnsAreNoContention) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(take(i % 2 == 0 ? a : b), kEX) << i;
    d.pass(600ms);
    d.renew(a);
    d.renew(b);
  }
}

TEST_F(TokenContentionTest, WhileOthersAskToTheTimesGrow) {
  take(a);
  std::vector<std::chrono::milliseconds> told;
  for (const SessionId session : {b, a, b, a, b, a, b, a, b, a, b, a, b, a, b, a}) {
    const auto number = d.write(session);
    for (const auto& [holder, recall] : std::exchange(d.recalls, {}))
      d.release(holder, recall.token, kCW);
    ASSERT_EQ(d.got(session, number), kCW);
    told.push_back(*d.ask_again(session, number));
    d.pass(told.back() / 2);
    d.renew(a);
    d.renew(b);
  }
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.front(), 250ms);
  EXPECT_EQ(told.back(), 4s);
}

TEST_F(TokenContentionTest, WhoIsTheOnlyOneLeftGetsItBack) {
  take(a);
  const auto wb = d.write(b);
  d.release(a, RequestNumber{1}, kCW);
  EXPECT_EQ(d.got(b, wb), kCW);
  d.pass(250ms);
  EXPECT_EQ(d.got(b, d.write(b)), kCW) << "the other has just said that it uses the file";
  d.pass(500ms);
  EXPECT_EQ(d.got(b, d.write(b)), kCW);
  d.pass(500ms);
  d.recalls.clear();
  const auto again = d.write(b);
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(RequestNumber{1}, kEX)));
  d.release(a, RequestNumber{1});
  EXPECT_EQ(d.got(b, again), kEX);
}

TEST_F(TokenContentionTest, WhoStillUsesItSaysSoAndIsAskedLessOften) {
  take(a);
  auto number = d.write(b);
  d.release(a, RequestNumber{1}, kCW);
  int asked = 0;
  for (int i = 0; i < 120; ++i) {  // a minute
    d.recalls.clear();
    number = d.write(b);
    for (const Recall& recall : d.recalled(a)) {
      ++asked;
      d.release(a, recall.token, kCW);
    }
    ASSERT_EQ(d.got(b, number), kCW);
    d.pass(500ms);
    d.renew(a);
    d.renew(b);
  }
  EXPECT_LT(asked, 15) << "every eight seconds, in the end";
  EXPECT_GT(asked, 3);
}

}  // namespace
}  // namespace holdfast::lockd::test
