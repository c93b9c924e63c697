// The token of a volume, or a directory, and what it implies (docs/tokens.md, T8).
#include "tests/unit/lockd/tokens_kit.h"

namespace holdfast::lockd::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

struct TokenCoverTest : testing::Test {
  TokenDriver d{real_options()};
  const SessionId a = d.open();
  RequestNumber cover;

  void SetUp() override {
    cover = d.write(a, kVolumeKey);
    ASSERT_EQ(d.got(a, cover), kEX);
  }
};

TEST_F(TokenCoverTest, T8_OnlyWhoIsAloneGetsTheVolume) {
  const SessionId b = d.open();
  const auto number = d.write(b, kVolumeKey);
  EXPECT_EQ(d.got(b, number), kNL);
  EXPECT_GT(d.ask_again(b, number), 0ms);
  EXPECT_THAT(d.recalls, IsEmpty()) << "who only asks for all of it needs nothing yet";
  const SessionId elsewhere = d.open(2);
  EXPECT_EQ(d.got(elsewhere, d.write(elsewhere, kVolumeKey)), kEX) << "another volume";
  d.goodbye(a);
  EXPECT_EQ(d.got(b, d.write(b, kVolumeKey)), kEX);
}

TEST_F(TokenCoverTest, T8_AnotherMountsFirstRequestRecallsTheVolume) {
  const SessionId b = d.open();
  const auto one = d.read(b);
  const auto two = d.write(b, kOther);
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(cover, kEX, kVolumeKey))) << "once";
  EXPECT_FALSE(d.got(b, one));
  d.release(a, cover, kNL, kVolumeKey);
  EXPECT_EQ(d.got(b, one), kEX);
  EXPECT_EQ(d.got(b, two), kEX);
}

TEST_F(TokenCoverTest, T8_WhatIsAssertedIsHeldWhenTheCoverGoes) {
  const SessionId b = d.open();
  const auto rb = d.read(b);
  const auto wb = d.write(b, kOther);
  EXPECT_TRUE(done(d.assert_under(a, kVolumeKey, cover, {{kFile, kEX}, {kShm, kCW}})));
  const RequestNumber asserted{2};
  d.recalls.clear();
  d.release(a, cover, kNL, kVolumeKey);
  EXPECT_EQ(d.got(b, wb), kEX) << "not asserted";
  EXPECT_FALSE(d.got(b, rb));
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(asserted, kPR)));
  d.release(a, asserted, kPR);
  EXPECT_EQ(d.got(b, rb), kPR);
  EXPECT_EQ(d.got(b, d.through(b, kShm)), kCW);
}

TEST_F(TokenCoverTest, AnyReleaseOfTheVolumeGivesAllOfItUp) {
  const SessionId b = d.open();
  const auto rb = d.read(b);
  EXPECT_TRUE(done(d.release(a, cover, kCW, kVolumeKey)));
  EXPECT_EQ(d.got(b, rb), kEX);
}

TEST_F(TokenCoverTest, AssertionsUnderNoCoverDoNothing) {
  EXPECT_TRUE(done(d.assert_under(a, kVolumeKey, RequestNumber{7}, {{kFile, kEX}})));
  EXPECT_TRUE(done(d.assert_under(a, kOther, cover, {{kFile, kEX}})));
  d.release(a, cover, kNL, kVolumeKey);
  const SessionId b = d.open();
  EXPECT_EQ(d.got(b, d.read(b)), kEX);
}

TEST_F(TokenCoverTest, ADirectoryCoversWhatWasCreatedInIt) {
  d.release(a, cover, kNL, kVolumeKey);
  const auto directory = d.write(a, kOther);
  const SessionId b = d.open();
  const auto rb = d.read(b, kOther);
  EXPECT_TRUE(done(d.assert_under(a, kOther, directory, {{kFile, kEX}})));
  d.release(a, directory, kNL, kOther);
  EXPECT_EQ(d.got(b, rb), kEX);
  const auto wb = d.write(b);
  EXPECT_FALSE(d.got(b, wb));
  d.release(a, RequestNumber{4});
  EXPECT_EQ(d.got(b, wb), kEX);
}

TEST_F(TokenCoverTest, AssertionsDoNotContradictWhatOthersHave) {
  d.release(a, cover, kNL, kVolumeKey);
  const auto directory = d.write(a, kOther);
  const SessionId b = d.open();
  EXPECT_EQ(d.got(b, d.through(b)), kCW);
  EXPECT_TRUE(refused(d.assert_under(a, kOther, directory, {{kShm, kEX}, {kFile, kEX}}),
                      LockErrc::kBadRequest));
  EXPECT_EQ(d.got(b, d.write(b, kShm)), kEX) << "nothing of it was done";
  EXPECT_TRUE(done(d.assert_under(a, kOther, directory, {{kFile, kCW}})));
}

TEST_F(TokenCoverTest, T2_NobodyElseLocksUnderACover) {
  const SessionId b = d.open();
  EXPECT_TRUE(refused(d.ask(b, lock(kA, kS, byte(0))), LockErrc::kBadRequest));
  EXPECT_TRUE(done(d.ask(a, ClaimWalRequest{kFile}))) << "the database is its own";
  d.assert_under(a, kVolumeKey, cover, {{kFile, kEX}});
  d.release(a, cover, kNL, kVolumeKey);
  EXPECT_TRUE(refused(d.ask(b, lock(kA, kS, byte(0))), LockErrc::kBadRequest));
  EXPECT_THAT(d.core.list_locks(d.now(), 10).locks, SizeIs(1)) << "its wal-index as before";
}

TEST_F(TokenCoverTest, TheWalIndexGoesWithTheCoverIfNothingElseKeepsIt) {
  d.ask(a, ClaimWalRequest{kFile});
  d.release(a, cover, kNL, kVolumeKey);
  EXPECT_THAT(d.core.list_locks(d.now(), 10).locks, IsEmpty());
}

// ---- Absent

TEST_F(TokenCoverTest, T9_AnAbsentHolderLosesFilesNotTheVolume) {
  const SessionId b = d.open();
  d.pass(5s);
  d.renew(b);
  d.pass(5s);  // a's lease is over
  const auto rb = d.read(b);
  EXPECT_FALSE(d.got(b, rb)) << "it may write yet";
  EXPECT_THAT(d.recalls, IsEmpty());
  for (int i = 0; i < 3; ++i) {
    d.pass(1s);
    d.renew(b);
  }
  EXPECT_EQ(d.got(b, rb), kEX);
  EXPECT_EQ(d.got(b, d.read(b, kOther)), kEX) << "it is fenced already";
  const auto answer = d.resume(a);
  ASSERT_TRUE(std::holds_alternative<Welcome>(answer));
  std::vector<FileKey> lost;
  for (const FileLoss& loss : std::get<Welcome>(answer).losses)
    lost.push_back(loss.file);
  EXPECT_THAT(lost, ElementsAre(kFile, kOther));
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(cover, kEX, kVolumeKey)));
  EXPECT_TRUE(done(d.assert_under(a, kVolumeKey, cover, {{kFile, kEX}, {kShm, kEX}})))
      << "what it has lost is passed over";
  EXPECT_TRUE(done(d.release(a, cover, kNL, kVolumeKey)));
  EXPECT_EQ(d.got(b, d.write(b)), kEX);
  const auto shm = d.write(b, kShm);
  EXPECT_FALSE(d.got(b, shm));
  EXPECT_THAT(d.recalled(a), SizeIs(1));
}

TEST_F(TokenCoverTest, WhoIsRecalledAndGoesAbsentLosesWhatIsWanted) {
  const SessionId b = d.open();
  const auto rb = d.read(b);
  for (int i = 0; i < 12; ++i) {
    d.pass(1s);
    d.renew(b);
  }
  EXPECT_EQ(d.got(b, rb), kEX);
  const auto answer = d.resume(a);
  EXPECT_THAT(std::get<Welcome>(answer).losses, SizeIs(1));
  EXPECT_THAT(d.recalled(a), testing::Contains(recall_of(cover, kEX, kVolumeKey)));
}

// Found by the simulator (seed 802941).
TEST_F(TokenCoverTest, WhatItsHolderHadLostBeforeIsHadAtOnceAndTheVolumeIsRecalledAllTheSame) {
  const SessionId b = d.open();
  const auto rb = d.read(b);
  for (int i = 0; i < 12; ++i) {
    d.pass(1s);
    d.renew(b);
  }
  EXPECT_EQ(d.got(b, rb), kEX);
  d.goodbye(b);
  d.resume(a);
  d.recalls.clear();
  const SessionId c = d.open();
  EXPECT_EQ(d.got(c, d.read(c)), kEX);
  EXPECT_THAT(d.recalled(a), ElementsAre(recall_of(cover, kEX, kVolumeKey)));
}

TEST_F(TokenCoverTest, T9_WhoNeverGivesTheVolumeUpLosesAllOfIt) {
  const SessionId b = d.open();
  const auto rb = d.read(b);
  for (int i = 0; i < 59; ++i) {
    d.pass(1s);
    d.renew(b);
    d.renew(a);
  }
  for (int i = 0; i < 14; ++i) {
    d.pass(1s);
    d.renew(b);
  }
  EXPECT_EQ(d.got(b, rb), kEX);
  EXPECT_EQ(std::get<Welcome>(d.resume(a)).losses.at(0).file, kVolumeKey);
}

}  // namespace
}  // namespace holdfast::lockd::test
