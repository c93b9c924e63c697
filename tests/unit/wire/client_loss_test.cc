// What lockd gave away, and a lockd that must not be believed.
#include "fs/lock/client_core.h"
#include "tests/unit/wire/client_core_fixture.h"

namespace holdfast::fs {
namespace {

using namespace std::chrono_literals;

constexpr FileKey kOther{.fileid = 2, .handle_hash = 2};

class ClientLossTest : public ClientCoreTest {
 protected:
  void SetUp() override { open(); }

  /// Resumes at the same lockd, which lost nothing but these.
  ClientEffects resume(std::vector<FileLoss> losses, milliseconds when = 0ms) {
    core.disconnected();
    take(core.connected(at(when)));
    sent.clear();
    Welcome welcome = welcome_of(1);
    welcome.losses = std::move(losses);
    return core.received(welcome, at(when));
  }
  LossNumber losses_seen() {
    core.disconnected();
    take(core.connected(at(0ms)));
    const Hello hello = std::get<Hello>(std::exchange(sent, {}).back());
    return hello.resume ? hello.resume->losses_seen : LossNumber{};
  }
};

TEST_F(ClientLossTest, TheListenerHearsOfLostFilesFirstAndTheSessionGoesOn) {
  hold(lock(1, LockMode::kExclusive));
  hold(on(2, lock(1, LockMode::kExclusive)));
  core.disconnected();
  take(core.tick(at(20s)));
  const auto effects = resume({{{1}, kFile}}, 20s);
  ASSERT_FALSE(effects.empty());
  ASSERT_TRUE(std::holds_alternative<FilesLost>(effects.front()));
  EXPECT_EQ(std::get<FilesLost>(effects.front()).files, std::vector<FileKey>{kFile});
  take(effects);
  EXPECT_EQ(count<LeaseResumed>(), 1);
  EXPECT_EQ(count<SessionLost>(), 0);
  EXPECT_TRUE(core.entitled(at(20s)));
  const Reclaim told = reclaim();
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].file, kOther);
}

TEST_F(ClientLossTest, WhatIsKnownIsSaidInEachRenewalAndAtEachResume) {
  take(resume({{{3}, kFile}, {{2}, kOther}}));
  take(core.tick(at(kTtl / 3)));
  EXPECT_EQ(std::get<Renew>(sent.back()).losses_seen, LossNumber{3});
  EXPECT_EQ(losses_seen(), LossNumber{3});
}

TEST_F(ClientLossTest, ALossThatIsRepeatedTakesNothingThatWasLockedSince) {
  hold(lock(1, LockMode::kExclusive));
  take(resume({{{1}, kFile}}));
  hold(lock(2, LockMode::kExclusive));
  take(resume({{{1}, kFile}}));
  EXPECT_EQ(files_lost().size(), 1u);
  EXPECT_EQ(reclaim().locks.size(), 1u);
}

TEST_F(ClientLossTest, OpenRequestsForALostFileEndAndGiveBackWhatTheyStillTake) {
  hold(lock(9, LockMode::kShared, 100, 110));
  const CallId waits = call(lock(1, LockMode::kExclusive));
  const CallId kept = call(on(2, lock(1, LockMode::kExclusive)));
  const CallId frees = unlock(9, 100, 110);
  requests();
  take(resume({{{1}, kFile}}));
  EXPECT_EQ(error_of(waits), LockErrc::kLockLost);
  EXPECT_FALSE(outcome_of(kept));
  EXPECT_FALSE(outcome_of(frees));
  auto again = requests();
  ASSERT_EQ(again.size(), 4u);
  EXPECT_EQ(std::get<CancelRequest>(again[3].command).target, RequestNumber{2});
  const CallId later = call(lock(1, LockMode::kShared, 0, 100));
  EXPECT_TRUE(requests().empty()) << "not before the lost ones are settled";
  // The grant was on its way when the file was lost: its reply was kept.
  reply(2, Granted{{2}});
  again = requests();
  ASSERT_EQ(again.size(), 2u);
  const auto& back = std::get<UnlockRequest>(again[0].command);
  EXPECT_EQ(back.owner, OwnerId{1});
  EXPECT_EQ(back.range, *ByteRange::make(0, 10));
  EXPECT_EQ(std::get<LockRequest>(again[1].command).mode, LockMode::kShared);
  reply(again[1].number.value, Granted{{3}});
  EXPECT_TRUE(std::holds_alternative<Granted>(*outcome_of(later)));
  EXPECT_EQ(error_of(waits), LockErrc::kLockLost) << "told once";
}

TEST_F(ClientLossTest, OverlappingRequestsForALostFileLeaveNothingBehind) {
  call(lock(1, LockMode::kExclusive, 0, 10));
  call(lock(1, LockMode::kExclusive, 5, 20));
  take(resume({{{1}, kFile}}));
  requests();
  reply(1, Granted{{1}});
  reply(2, Granted{{2}});
  const auto back = requests();
  ASSERT_EQ(back.size(), 2u);
  EXPECT_EQ(std::get<UnlockRequest>(back[0].command).range, *ByteRange::make(0, 10));
  EXPECT_EQ(std::get<UnlockRequest>(back[1].command).range, *ByteRange::make(5, 20));
}

// It would take a lock for an owner that has lost all.
TEST_F(ClientLossTest, AGiveBackOfALostFileIsGivenBackItself) {
  hold(lock(1, LockMode::kShared, 0, 10));
  const CallId id = call(lock(1, LockMode::kExclusive, 0, 10));
  take(core.interrupt(id));
  requests();
  reply(2, Granted{{2}});
  const auto restore = requests();
  ASSERT_EQ(restore.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<LockRequest>(restore[0].command));
  take(resume({{{1}, kFile}}));
  requests();
  reply(restore[0].number.value, Granted{{3}});
  const auto back = requests();
  ASSERT_EQ(back.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<UnlockRequest>(back[0].command));
  EXPECT_TRUE(reclaim().locks.empty());
}

TEST_F(ClientLossTest, AGiveBackOfALostFileIsNotReclaimedEither) {
  hold(lock(1, LockMode::kShared, 0, 10));
  const CallId id = call(lock(1, LockMode::kExclusive, 0, 10));
  take(core.interrupt(id));
  requests();
  reply(2, Granted{{2}});
  requests();
  EXPECT_TRUE(reclaim(2, {{{1}, kFile}}).locks.empty());
}

TEST_F(ClientLossTest, UnsentRequestsForALostFileEndToo) {
  core.disconnected();
  const CallId unsent = call(lock(1, LockMode::kExclusive));
  take(resume({{{1}, kFile}}));
  EXPECT_EQ(error_of(unsent), LockErrc::kLockLost);
  EXPECT_TRUE(requests().empty());
}

TEST_F(ClientLossTest, WhatCouldNotBeReclaimedIsLost) {
  hold(lock(1, LockMode::kExclusive));
  hold(on(2, lock(1, LockMode::kExclusive)));
  const CallId waits = call(lock(2, LockMode::kExclusive));
  requests();
  reclaim(2);
  take(core.received(Reclaimed{{{{7}, kFile}}}, at(0ms)));
  EXPECT_EQ(files_lost(), std::vector<FileKey>{kFile});
  EXPECT_EQ(error_of(waits), LockErrc::kLockLost);
  EXPECT_TRUE(requests().empty());
  EXPECT_EQ(restart(3).locks.size(), 1u);
  EXPECT_EQ(losses_seen(), LossNumber{7});
}

TEST_F(ClientLossTest, LossesToldWithTheWelcomeAreNotReclaimed) {
  hold(lock(1, LockMode::kExclusive));
  hold(on(2, lock(1, LockMode::kExclusive)));
  const Reclaim told = reclaim(2, {{{1}, kFile}});
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].file, kOther);
}

// ---- A session that held nothing

TEST_F(ClientLossTest, WhoHeldNothingIsNotToldAndHisCallsLiveOn) {
  hold(lock(9, LockMode::kShared));
  unlock(9);
  reply(2, Done{});
  requests();
  const CallId waits = call(lock(1, LockMode::kExclusive));
  const CallId interrupted = call(lock(2, LockMode::kExclusive));
  take(core.interrupt(interrupted));
  core.disconnected();
  const CallId unsent = call(lock(3, LockMode::kShared));
  open(2, 1s, 1s);
  EXPECT_EQ(count<SessionLost>(), 0);
  EXPECT_FALSE(outcome_of(waits));
  EXPECT_FALSE(outcome_of(unsent));
  EXPECT_TRUE(core.entitled(at(1s)));
  EXPECT_EQ(count<LeaseSuspended>(), 1) << "nobody may act between the two sessions";
  EXPECT_EQ(count<LeaseResumed>(), 1);
}

TEST_F(ClientLossTest, TheyAreAskedAgainInTheNewSession) {
  const CallId waits = call(lock(1, LockMode::kExclusive));
  requests();
  say(SessionEnded{});
  EXPECT_FALSE(core.entitled(at(0ms)));
  take(core.connected(at(1s)));
  EXPECT_FALSE(std::get<Hello>(sent.back()).resume);
  sent.clear();
  say(welcome_of(2), 1s);
  const auto again = requests();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].number, RequestNumber{1});
  reply(1, Granted{{1}});
  EXPECT_TRUE(std::holds_alternative<Granted>(*outcome_of(waits)));
}

TEST_F(ClientLossTest, WhoIsNotSureToHoldNothingLosesTheSession) {
  call(lock(1, LockMode::kShared));
  unlock(1);
  core.disconnected();
  open(1);
  reply(1, Granted{{1}});
  reply(2, Done{});
  say(SessionEnded{});
  EXPECT_EQ(count<SessionLost>(), 1);
}

// ---- Which lockd

TEST_F(ClientLossTest, TheEpochSeenIsAlwaysSaid) {
  restart(5);
  core.disconnected();
  take(core.connected(at(0ms)));
  EXPECT_EQ(std::get<Hello>(sent.back()).epoch_seen, Epoch{5});
  say(HelloRefused{.errc = LockErrc::kSessionLost, .retry_after = {}, .reason = {}});
  take(core.connected(at(0ms)));
  EXPECT_EQ(std::get<Hello>(sent.back()).epoch_seen, Epoch{5}) << "also for a new session";
}

TEST_F(ClientLossTest, AnOlderLockdIsNotBelieved) {
  hold(lock(1, LockMode::kExclusive));
  restart(5);
  core.disconnected();
  const CallId waits = call(lock(2, LockMode::kShared));
  for (const std::uint64_t session : {1u, 2u}) {  // one that knows us, and one that does not
    take(core.connected(at(1s)));
    Welcome welcome = welcome_of(session);
    welcome.epoch = {4};
    welcome.losses = {{{9}, kFile}};
    sent.clear();
    say(welcome, 1s);
    ASSERT_TRUE(std::holds_alternative<DropConnection>(events.back()));
    EXPECT_EQ(std::get<DropConnection>(events.back()).why, DropConnection::Why::kStale);
    EXPECT_TRUE(sent.empty());
  }
  EXPECT_TRUE(files_lost().empty());
  EXPECT_EQ(count<SessionLost>(), 0);
  EXPECT_FALSE(core.entitled(at(kTtl))) << "and it extends nothing";
  EXPECT_EQ(restart(6).locks.size(), 1u);
  EXPECT_EQ(requests().size(), 1u);
  EXPECT_FALSE(outcome_of(waits));
}

TEST_F(ClientLossTest, AStandbyOrAStaleLockdCostsNothing) {
  hold(lock(1, LockMode::kExclusive));
  for (const LockErrc errc : {LockErrc::kStandby, LockErrc::kStaleLockd}) {
    core.disconnected();
    take(core.connected(at(1s)));
    say(HelloRefused{.errc = errc, .retry_after = {}, .reason = {}}, 1s);
    EXPECT_EQ(std::get<DropConnection>(events.back()).why, DropConnection::Why::kRefused);
    EXPECT_EQ(core.refusal()->errc, errc);
  }
  EXPECT_EQ(count<SessionLost>(), 0);
  EXPECT_EQ(restart().locks.size(), 1u);
}

}  // namespace
}  // namespace holdfast::fs
