// Tokens of sessions that are away, and over a restart of lockd (docs/tokens.md, "Failure").
#include "tests/unit/lockd/tokens_kit.h"

namespace holdfast::lockd::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct TokenAbsentTest : TokenTest {};

TEST_F(TokenAbsentTest, WhatNobodyWantsIsKept) {
  const auto ta = d.write(a);
  renew_all({b, c}, 30s);
  const auto answer = d.resume(a);
  ASSERT_TRUE(std::holds_alternative<Welcome>(answer));
  EXPECT_THAT(std::get<Welcome>(answer).losses, IsEmpty());
  const auto rb = d.read(b);
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(ta, kPR)));
  d.release(a, ta, kPR);
  EXPECT_EQ(d.got(b, rb), kPR);
}

TEST_F(TokenAbsentTest, WhatSomebodyWantsIsLostAfterTheFence) {
  d.write(a);
  d.write(a, kOther);
  renew_all({b, c}, 10s);
  const auto rb = d.read(b);
  EXPECT_FALSE(d.got(b, rb));
  EXPECT_THAT(d.recalls, IsEmpty()) << "nobody is there to be asked";
  renew_all({b, c}, 3s);
  EXPECT_EQ(d.got(b, rb), kEX);
  const auto answer = d.resume(a);
  ASSERT_TRUE(std::holds_alternative<Welcome>(answer));
  EXPECT_THAT(std::get<Welcome>(answer).losses, SizeIs(1));
  EXPECT_FALSE(d.got(b, d.read(b, kOther))) << "the other one it still has";
  EXPECT_THAT(d.recalled(a), SizeIs(1));
}

TEST_F(TokenAbsentTest, WhoDoesNotAnswerAndDiesIsFenced) {
  d.write(a);
  const auto rb = d.read(b);
  renew_all({b, c}, 13s);
  EXPECT_EQ(d.got(b, rb), kEX);
}

TEST_F(TokenAbsentTest, AnAbsentOnesLocksSayThatTheFileIsInUse) {
  d.through(a);
  d.ask(a, lock(kA, kX, byte(0)));
  renew_all({b, c}, 20s);
  EXPECT_EQ(d.got(b, d.write(b)), kCW);
  EXPECT_TRUE(granted(d.ask(b, lock(kA, kX, byte(1)))));
  const auto answer = d.resume(a);
  EXPECT_THAT(std::get<Welcome>(answer).losses, IsEmpty()) << "nobody wanted its lock";
}

TEST_F(TokenAbsentTest, AnAbsentOneThatUsesNothingIsNoReasonToShare) {
  d.through(a);
  renew_all({b, c}, 20s);
  const auto wb = d.write(b);
  EXPECT_EQ(d.got(b, wb), kEX) << "its last write was waited for already";
  EXPECT_THAT(std::get<Welcome>(d.resume(a)).losses, SizeIs(1));
}

TEST_F(TokenAbsentTest, WhoWaitedGoesOnWaitingWhenItIsBack) {
  const auto ta = d.write(a);
  const auto rb = d.read(b);
  renew_all({a, c}, 12s);  // b is away
  EXPECT_THAT(d.core.list_sessions(d.now()).sessions, SizeIs(2)) << "it held nothing, and is gone";
  d.release(a, ta);
  EXPECT_FALSE(d.got(b, rb));
  EXPECT_EQ(d.got(c, d.read(c)), kEX);
}

TEST_F(TokenAbsentTest, WhoHoldsSomethingKeepsItsPlaceInLine) {
  const auto ta = d.write(a);
  d.write(b, kOther);
  const auto rb = d.read(b);
  renew_all({a, c}, 12s);  // b is away
  EXPECT_EQ(d.got(b, rb), std::nullopt);
  const auto rc = d.read(c);
  d.release(a, ta, kPR);
  EXPECT_EQ(d.got(c, rc), kPR);
  EXPECT_FALSE(d.got(b, rb)) << "nothing is granted to who is away";
  d.resume(b);
  EXPECT_EQ(d.got(b, rb), kPR);
}

TEST_F(TokenAbsentTest, TokensCountAsSomethingHeld) {
  d.write(a);
  renew_all({b, c}, 11s);
  EXPECT_THAT(d.ended, IsEmpty());
  EXPECT_EQ(d.core.break_file(a, kOther, d.now()).refused,
            "the session holds nothing on this file");
  const auto outcome = d.core.break_file(a, kFile, d.now());
  EXPECT_EQ(outcome.refused, std::nullopt);
  d.absorb(outcome.effects);
  const auto rb = d.read(b);
  EXPECT_EQ(d.got(b, rb), std::nullopt);
  renew_all({b, c}, 2s);
  EXPECT_EQ(d.got(b, rb), kEX);
}

TEST_F(TokenAbsentTest, ARequestThatIsPutOffCanBeCancelled) {
  d.write(a);
  d.write(b, kOther);
  const auto rb = d.read(b);
  renew_all({a, c}, 12s);
  d.resume(b);
  EXPECT_FALSE(d.answer(b, rb));
  d.ask(b, CancelRequest{rb});
  EXPECT_TRUE(refused(d.answer(b, rb), LockErrc::kInterrupted));
}

// ---- Restart

SessionRecord record_of(SessionId session) {
  SessionRecord record;
  record.session = session;
  record.secret = Driver::secret_of(session);
  record.volume[0] = 1;
  record.volume_name = "nas:/export1";
  record.address = "10.0.0.1";
  record.write_life = 3s;
  return record;
}

struct TokenRestartTest : testing::Test {
  const SessionId one{1001};
  const SessionId two{1002};
  std::optional<TokenDriver> d;

  void SetUp() override { start({record_of(one), record_of(two)}); }
  void start(std::vector<SessionRecord> sessions) {
    d.emplace(real_options(), Recovered{.epoch = Epoch{8},
                                        .empty = false,
                                        .lease_ttl_max = 10s,
                                        .sessions = std::move(sessions)});
  }
  std::vector<FileLoss> reclaim(SessionId session, std::vector<HeldToken> tokens,
                                std::vector<HeldLock> locks = {},
                                std::vector<FileKey> databases = {}) {
    EXPECT_TRUE(std::holds_alternative<Welcome>(d->resume(session)));
    d->absorb(d->core.reclaim(session,
                              {.tokens = std::move(tokens),
                               .locks = std::move(locks),
                               .wal_databases = std::move(databases),
                               .last = true},
                              d->now()));
    for (const Send& sent : all_of<Send>(d->last))
      if (const auto* reclaimed = std::get_if<Reclaimed>(&sent.message)) return reclaimed->losses;
    ADD_FAILURE() << "not reclaimed";
    return {};
  }
};

TEST_F(TokenRestartTest, WhatIsReclaimedIsHeld) {
  EXPECT_THAT(reclaim(one, {{kFile, kEX}, {kOther, kPR}}), IsEmpty());
  EXPECT_THAT(reclaim(two, {{kOther, kPR}}), IsEmpty());
  EXPECT_FALSE(d->core.status().grace);
  const auto rb = d->read(two);
  EXPECT_THAT(d->recalled(one), ElementsAre(recall_of(RequestNumber{0}, kPR)));
  d->release(one, RequestNumber{0}, kPR);
  EXPECT_EQ(d->got(two, rb), kPR);
}

TEST_F(TokenRestartTest, RequestsWaitForTheEndOfGrace) {
  reclaim(one, {});
  const auto ra = d->write(one);
  EXPECT_FALSE(d->got(one, ra));
  const auto rb = d->write(one, kOther);
  d->ask(one, CancelRequest{rb});
  EXPECT_TRUE(refused(d->answer(one, rb), LockErrc::kInterrupted));
  reclaim(two, {{kFile, kCW}});
  EXPECT_THAT(d->recalled(two), ElementsAre(recall_of(RequestNumber{0}, kEX)));
  d->release(two, RequestNumber{0}, kCW);
  EXPECT_EQ(d->got(one, ra), kCW);
}

TEST_F(TokenRestartTest, I7_WhatContradictsIsLost) {
  EXPECT_THAT(reclaim(one, {{kFile, kEX}, {kOther, kCW}}), IsEmpty());
  EXPECT_THAT(reclaim(two, {{kFile, kPR}, {kOther, kCW}}), SizeIs(1));
  EXPECT_EQ(d->got(two, d->through(two, kOther)), kCW);
}

TEST_F(TokenRestartTest, I7_LocksContradictTokensOfOthers) {
  EXPECT_THAT(reclaim(one, {{kFile, kEX}}, {held_lock(kA, kX, byte(0), kOther)}), IsEmpty());
  EXPECT_THAT(reclaim(two, {{kOther, kPR}}, {held_lock(kA, kS, byte(0), kFile)}), SizeIs(2));
  EXPECT_TRUE(granted(d->ask(one, lock(kB, kX, byte(1), Wait::kNo, kOther))));
}

TEST_F(TokenRestartTest, SharedLocksOfWhoCameDownFromReadDoNotContradictReaders) {
  EXPECT_THAT(reclaim(one, {{kFile, kPR}}), IsEmpty());
  EXPECT_THAT(reclaim(two, {}, {held_lock(kA, kS, byte(0))}), IsEmpty());
  EXPECT_TRUE(refused(d->ask(two, lock(kA, kX, byte(1))), LockErrc::kBadRequest));
  const auto tb = d->through(two);
  d->release(one, RequestNumber{0});
  EXPECT_EQ(d->got(two, tb), kCW);
}

TEST_F(TokenRestartTest, ReadersDoNotContradictSharedLocksOfWhoCameDown) {
  EXPECT_THAT(reclaim(two, {}, {held_lock(kA, kS, byte(0))}), IsEmpty());
  EXPECT_THAT(reclaim(one, {{kFile, kPR}}), IsEmpty());
}

TEST_F(TokenRestartTest, LocksUnderThroughAreReclaimedAsEver) {
  EXPECT_THAT(reclaim(one, {{kFile, kCW}}, {held_lock(kA, kX, byte(0))}), IsEmpty());
  EXPECT_THAT(reclaim(two, {{kFile, kCW}}, {held_lock(kA, kX, byte(1))}), IsEmpty());
}

TEST_F(TokenRestartTest, TheWalIndexIsReclaimedUnderTheTokenOfItsDatabase) {
  EXPECT_THAT(reclaim(one, {{kFile, kEX}}, {}, {kFile}), IsEmpty());
  EXPECT_THAT(reclaim(two, {}, {}, {kFile}), SizeIs(1));
  EXPECT_THAT(d->core.list_locks(d->now(), 10).locks, SizeIs(1));
}

TEST_F(TokenRestartTest, I7_WhatWasLostIsNotReclaimed) {
  SessionRecord away = record_of(one);
  away.losses.push_back({LossNumber{1}, kFile});
  start({away, record_of(two)});
  EXPECT_THAT(reclaim(one, {{kFile, kEX}}), SizeIs(1));
  EXPECT_THAT(reclaim(two, {{kFile, kEX}}), IsEmpty());
}

// Of two lives ago: the volume's holder has lost the file and knows it, lockd does not.
TEST_F(TokenRestartTest, TheVolumeAndAFileOfAnotherAreBothGivenBack) {
  EXPECT_THAT(reclaim(one, {{kVolumeKey, kEX}}), IsEmpty());
  EXPECT_THAT(reclaim(two, {{kFile, kEX}}), IsEmpty());
  EXPECT_THAT(d->recalled(one), testing::Contains(recall_of(RequestNumber{0}, kEX, kVolumeKey)));
  const auto wb = d->write(two, kOther);
  EXPECT_FALSE(d->got(two, wb));
  d->release(one, RequestNumber{0}, kNL, kVolumeKey);
  EXPECT_EQ(d->got(two, wb), kEX);
}

TEST_F(TokenRestartTest, TheVolumeIsGivenBackAlsoAfterAFileOfAnother) {
  EXPECT_THAT(reclaim(two, {{kFile, kEX}}), IsEmpty());
  EXPECT_THAT(reclaim(one, {{kVolumeKey, kEX}}), IsEmpty());
  EXPECT_THAT(d->recalled(one), testing::Contains(recall_of(RequestNumber{0}, kEX, kVolumeKey)));
  EXPECT_EQ(d->got(two, d->write(two)), kEX) << "that one is its own";
}

TEST_F(TokenRestartTest, WhoDoesNotReturnHasNothing) {
  reclaim(one, {});
  const auto ra = d->write(one);
  for (int i = 0; i < 15; ++i) {
    d->pass(1s);
    d->renew(one);
  }
  EXPECT_EQ(d->got(one, ra), kEX);
}

TEST_F(TokenRestartTest, ReclaimingBeginsAnew) {
  d->resume(one);
  d->absorb(d->core.reclaim(
      one, {.tokens = {{kFile, kEX}}, .locks = {}, .wal_databases = {}, .last = false}, d->now()));
  EXPECT_THAT(reclaim(one, {}), IsEmpty());
  EXPECT_THAT(reclaim(two, {{kFile, kEX}}), IsEmpty());
}

}  // namespace
}  // namespace holdfast::lockd::test
