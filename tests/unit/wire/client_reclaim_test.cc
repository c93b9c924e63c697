// What a mount tells a lockd that lost its memory: never what may be somebody else's by now.
#include "fs/lock/client_core.h"
#include "tests/unit/wire/client_core_fixture.h"

namespace holdfast::fs {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kPending = 0x4000'0000;

class ClientReclaimTest : public ClientCoreTest {
 protected:
  void SetUp() override { open(); }

  static ReleaseHandleRequest release(std::uint64_t handle) { return {kFile, {handle}}; }
  static ByteRange range(std::uint64_t start, std::uint64_t end) {
    return *ByteRange::make(start, end);
  }
};

// ---- What is told

TEST_F(ClientReclaimTest, WhatIsHeldIsToldWithAllThatALockIsMadeOf) {
  LockRequest request = lock(7, LockMode::kExclusive, 5, 9);
  request.handle = {8};
  request.pid = 99;
  hold(request);
  hold(flock(3, LockMode::kShared));
  const Reclaim told = reclaim();
  ASSERT_EQ(told.locks.size(), 2u);
  const HeldLock& one = told.locks[0];
  EXPECT_EQ(one.file, kFile);
  EXPECT_EQ(one.space, LockSpace::kRange);
  EXPECT_EQ(one.owner, OwnerId{7});
  EXPECT_EQ(one.handle, HandleId{8});
  EXPECT_EQ(one.mode, LockMode::kExclusive);
  EXPECT_EQ(one.range, range(5, 9));
  EXPECT_EQ(one.pid, 99u);
  EXPECT_FALSE(one.wal_database);
  EXPECT_EQ(told.locks[1].space, LockSpace::kFlock);
  EXPECT_TRUE(told.wal_databases.empty());
}

TEST_F(ClientReclaimTest, NothingHeldIsToldToo) {
  const Reclaim told = reclaim();
  EXPECT_TRUE(told.locks.empty());
  EXPECT_TRUE(told.last);
}

TEST_F(ClientReclaimTest, ManyLocksComeInSeveralMessagesAsTheConnectionTakesThem) {
  constexpr std::uint64_t kMany = 20'000;
  for (std::uint64_t i = 0; i < kMany; ++i)
    hold(lock(i % 100, LockMode::kShared, 2 * i, 2 * i + 1));
  core.disconnected();
  take(core.connected(at(0ms)));
  sent.clear();
  Welcome welcome = welcome_of(1);
  welcome.epoch = {2};
  welcome.reclaim = true;
  say(welcome);
  EXPECT_TRUE(core.has_more_to_say());
  std::size_t told = 0;
  std::size_t messages = 0;
  bool last = false;
  while (core.has_more_to_say() || !sent.empty()) {
    EXPECT_LE(sent.size(), 4u) << "a burst that fits into any queue";
    for (const auto& message : std::exchange(sent, {})) {
      EXPECT_FALSE(last);
      told += std::get<Reclaim>(message).locks.size();
      last = std::get<Reclaim>(message).last;
      ++messages;
    }
    take(core.writable());
  }
  EXPECT_TRUE(last);
  EXPECT_EQ(told, kMany);
  EXPECT_GE(messages, 5u);
}

TEST_F(ClientReclaimTest, TheWalIndexIsClaimedWhileALockOfItIsHeld) {
  const FileKey database = kFile;
  hold(lock(1, LockMode::kShared, kPending + 2, kPending + 512));
  call(ClaimWalRequest{database});
  reply(requests()[0].number.value, Done{});
  LockRequest shm = on(2, lock(1, LockMode::kShared, 120, 121));
  shm.wal_database = database;
  hold(shm);
  Reclaim told = restart();
  ASSERT_EQ(told.locks.size(), 2u);
  EXPECT_FALSE(told.locks[0].wal_database);
  EXPECT_EQ(told.locks[1].wal_database, database);
  EXPECT_EQ(told.wal_databases, std::vector<FileKey>{database});

  unlock(1, kPending, kPending + 512);  // the tied lock still keeps it
  reply(requests()[0].number.value, Done{});
  EXPECT_EQ(restart(3).wal_databases, std::vector<FileKey>{database});

  call(ReleaseOwnerRequest{shm.file, {1}});  // unanswered: the ownership may have ended
  EXPECT_TRUE(restart(4).wal_databases.empty());
}

TEST_F(ClientReclaimTest, AClaimEndsWithTheLastLockAndDoesNotComeBack) {
  hold(lock(1, LockMode::kShared, kPending + 2, kPending + 512));
  call(ClaimWalRequest{kFile});
  reply(requests()[0].number.value, Done{});
  unlock(1, 0, ByteRange::kEnd);
  reply(requests()[0].number.value, Done{});
  hold(lock(1, LockMode::kShared, kPending + 2, kPending + 512));
  EXPECT_TRUE(reclaim().wal_databases.empty());
}

TEST_F(ClientReclaimTest, AClaimOfWhatIsGivenUpMeanwhileIsAConflictNotAMistake) {
  hold(lock(1, LockMode::kShared, kPending + 2, kPending + 512));
  const CallId claim = call(ClaimWalRequest{kFile});
  call(ReleaseOwnerRequest{kFile, {1}});
  restart();
  const auto again = requests();
  ASSERT_EQ(again.size(), 2u);
  reply(1, Refused{LockErrc::kBadRequest});
  EXPECT_EQ(error_of(claim), LockErrc::kWalOwnedElsewhere);
}

// ---- What is left out: one test for each row of the table in client_reclaim.cc

TEST_F(ClientReclaimTest, WhatAnUnansweredUnlockMayHaveFreedIsLeftOut) {
  hold(lock(1, LockMode::kExclusive, 0, 30));
  hold(lock(2, LockMode::kExclusive, 50, 60));
  unlock(1, 10, 20);
  const Reclaim told = reclaim();
  ASSERT_EQ(told.locks.size(), 3u);
  EXPECT_EQ(told.locks[0].range, range(0, 10));
  EXPECT_EQ(told.locks[1].range, range(20, 30));
  EXPECT_EQ(told.locks[2].range, range(50, 60));
}

TEST_F(ClientReclaimTest, WhatAnUnansweredReleaseOfAnOwnerMayHaveFreedIsLeftOut) {
  hold(lock(1, LockMode::kShared, 0, 10));
  hold(lock(1, LockMode::kShared, 20, 30));
  hold(flock(1, LockMode::kShared));
  call(ReleaseOwnerRequest{kFile, {1}});
  const Reclaim told = reclaim();
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].space, LockSpace::kFlock) << "not the owner's business in flush";
}

TEST_F(ClientReclaimTest, WhatAnUnansweredReleaseOfAHandleMayHaveFreedIsLeftOut) {
  LockRequest through = lock(1, LockMode::kShared, 0, 10);
  through.handle = {5};
  hold(through);
  through.owner = {2};
  hold(through);
  LockRequest whole = flock(3, LockMode::kExclusive);
  whole.handle = {5};
  hold(whole);
  hold(lock(4, LockMode::kShared, 0, 10));
  call(release(5));
  const Reclaim told = reclaim();
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].owner, OwnerId{4});
}

// The open request may have been granted first; then the range hangs on the released handle.
TEST_F(ClientReclaimTest, AReleaseOfAHandleAlsoFreesWhatAnOpenRequestMaySetThroughIt) {
  hold(lock(1, LockMode::kShared, 0, 10));
  LockRequest upgrade = lock(1, LockMode::kExclusive, 0, 5);
  upgrade.handle = {6};
  call(upgrade);
  call(release(6));
  const Reclaim told = reclaim();
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].range, range(5, 10));
}

TEST_F(ClientReclaimTest, WhatAnUnansweredRequestMayHaveWeakenedIsSharedNow) {
  hold(lock(1, LockMode::kExclusive, 0, 30));
  call(lock(1, LockMode::kShared, 10, 20));
  const Reclaim told = restart();
  ASSERT_EQ(told.locks.size(), 3u);
  EXPECT_EQ(told.locks[0].mode, LockMode::kExclusive);
  EXPECT_EQ(told.locks[1].mode, LockMode::kShared);
  EXPECT_EQ(told.locks[1].range, range(10, 20));
  EXPECT_EQ(told.locks[2].mode, LockMode::kExclusive);
  reply(1, Granted{{1}});
  EXPECT_TRUE(files_lost().empty());
}

// The caller would believe that it still holds the file exclusively.
TEST_F(ClientReclaimTest, AWeakeningRequestThatIsRefusedAfterAllCostsTheFile) {
  hold(lock(1, LockMode::kExclusive, 0, 30));
  hold(flock(2, LockMode::kShared));
  hold(on(2, lock(1, LockMode::kExclusive)));
  const CallId id = call(lock(1, LockMode::kShared, 10, 40));
  restart();
  requests();
  reply(1, Refused{LockErrc::kWouldBlock});
  EXPECT_EQ(files_lost(), std::vector<FileKey>{kFile});
  EXPECT_EQ(error_of(id), LockErrc::kWouldBlock);
  const auto back = requests();
  ASSERT_EQ(back.size(), 2u) << "lockd hears that we hold nothing of it any more";
  EXPECT_EQ(std::get<UnlockRequest>(back[0].command).owner, OwnerId{1});
  EXPECT_EQ(std::get<UnlockRequest>(back[1].command).space, LockSpace::kFlock);
  const Reclaim told = reclaim(3);
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].file.fileid, 2u);
}

TEST_F(ClientReclaimTest, AnInterruptedWeakeningRequestIsAskedAgainAndCancelled) {
  hold(lock(1, LockMode::kExclusive, 0, 30));
  const CallId id = call(lock(1, LockMode::kShared, 10, 40));
  take(core.interrupt(id));
  EXPECT_FALSE(outcome_of(id));
  restart();
  const auto again = requests();
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(std::get<LockRequest>(again[0].command).mode, LockMode::kShared);
  EXPECT_EQ(std::get<CancelRequest>(again[1].command).target, again[0].number);
  reply(1, Refused{LockErrc::kInterrupted});
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  EXPECT_EQ(files_lost().size(), 1u);
}

// Found by the simulator (I1): told at once that it was interrupted, the caller went on with an
// exclusive lock of which the new life of lockd knew the shared half.
TEST_F(ClientReclaimTest, AWeakeningRequestInterruptedAfterTheRestartWaitsForItsVerdict) {
  hold(lock(1, LockMode::kExclusive, 0, 30));
  const CallId id = call(lock(1, LockMode::kShared, 10, 40));
  restart();
  const auto again = requests();
  ASSERT_EQ(again.size(), 1u);
  take(core.interrupt(id));
  EXPECT_FALSE(outcome_of(id));
  const auto cancels = requests();
  ASSERT_EQ(cancels.size(), 1u);
  EXPECT_EQ(std::get<CancelRequest>(cancels[0].command).target, again[0].number);
  reply(1, Refused{LockErrc::kInterrupted});
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  EXPECT_EQ(files_lost(), std::vector<FileKey>{kFile});
}

// SQLite goes back to shared after each commit. Whoever was killed then, while lockd was away, cost
// all other programs of the mount their locks on that file: the cancel met the grace period.
TEST_F(ClientReclaimTest, AnInterruptedDowngradeOfWhatIsHeldIsNotCancelled) {
  hold(lock(1, LockMode::kExclusive, 0, 20));
  hold(lock(1, LockMode::kShared, 20, 30));
  const CallId before = call(lock(1, LockMode::kShared, 0, 30));
  take(core.interrupt(before));
  requests();
  restart();
  const auto again = requests();
  ASSERT_EQ(again.size(), 1u) << "no cancel";
  reply(again[0].number.value, Granted{{1}});
  EXPECT_TRUE(outcome_of(before));

  hold(on(2, lock(1, LockMode::kExclusive, 0, 30)));
  const CallId after = call(on(2, lock(1, LockMode::kShared, 0, 30)));
  restart(3);
  requests();
  take(core.interrupt(after));
  EXPECT_TRUE(requests().empty()) << "no cancel";
  EXPECT_FALSE(outcome_of(after));
  reply(1, Granted{{1}});
  EXPECT_TRUE(outcome_of(after));
  EXPECT_TRUE(files_lost().empty());
}

TEST_F(ClientReclaimTest, AWaitingUpgradeKeepsWhatItHas) {
  hold(lock(1, LockMode::kShared, 0, 10));
  call(lock(1, LockMode::kExclusive, 0, 10));
  const Reclaim told = restart();
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].mode, LockMode::kShared);
  EXPECT_EQ(requests().size(), 1u) << "and is asked for again";
}

TEST_F(ClientReclaimTest, AFlockConversionOnItsWayHoldsNothing) {
  hold(flock(1, LockMode::kShared));
  hold(flock(2, LockMode::kShared));
  call(flock(1, LockMode::kExclusive, Wait::kYes));
  call(flock(2, LockMode::kShared));  // no conversion
  const Reclaim told = restart();
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].owner, OwnerId{2});
  requests();
  reply(1, Refused{LockErrc::kWouldBlock});
  EXPECT_TRUE(files_lost().empty()) << "flock(2): the old lock is lost, and the caller knows";
}

TEST_F(ClientReclaimTest, ARefusedFlockConversionHoldsNothing) {
  hold(flock(1, LockMode::kShared));
  call(flock(1, LockMode::kExclusive));
  reply(requests()[0].number.value, Refused{LockErrc::kWouldBlock});
  EXPECT_TRUE(reclaim().locks.empty());
}

TEST_F(ClientReclaimTest, AFlockConversionRefusedForALimitLeavesDoubt) {
  hold(flock(1, LockMode::kShared));
  call(flock(1, LockMode::kExclusive));
  reply(requests()[0].number.value, Refused{LockErrc::kTooManyRanges});
  EXPECT_TRUE(reclaim().locks.empty());
  EXPECT_EQ(files_lost(), std::vector<FileKey>{kFile});
}

TEST_F(ClientReclaimTest, AnInterruptedCallIsForgottenAndKeepsWhatWasHeldBefore) {
  hold(lock(1, LockMode::kShared, 0, 10));
  const CallId id = call(lock(1, LockMode::kExclusive, 0, 20));
  take(core.interrupt(id));
  EXPECT_EQ(error_of(id), LockErrc::kInterrupted);
  const CallId later = call(lock(1, LockMode::kShared, 50, 60));  // waits for the settlement
  const Reclaim told = restart();
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].mode, LockMode::kShared);
  EXPECT_EQ(told.locks[0].range, range(0, 10));
  const auto again = requests();
  ASSERT_EQ(again.size(), 1u) << "neither it nor its cancel; the later one need not wait any more";
  reply(1, Granted{{1}});
  EXPECT_TRUE(outcome_of(later));
  EXPECT_EQ(completed.size(), 3u);
}

// Granted, and on the way back to what the owner had: told as if that had been carried out.
TEST_F(ClientReclaimTest, AGiveBackOnItsWayIsToldAsDone) {
  hold(lock(1, LockMode::kShared, 0, 10));
  LockRequest more = lock(1, LockMode::kExclusive, 0, 20);
  more.handle = {9};
  const CallId id = call(more);
  take(core.interrupt(id));
  reply(2, Granted{{2}});
  requests();
  const Reclaim told = restart();
  ASSERT_EQ(told.locks.size(), 1u);
  EXPECT_EQ(told.locks[0].mode, LockMode::kShared);
  EXPECT_EQ(told.locks[0].range, range(0, 10));
  EXPECT_EQ(told.locks[0].handle, HandleId{1}) << "not the one it was to be taken through";
  EXPECT_TRUE(requests().empty());
  EXPECT_EQ(core.open_calls(), 0u);
}

TEST_F(ClientReclaimTest, AnOwnerInDoubtLosesTheFile) {
  hold(lock(2, LockMode::kShared, 0, 10));
  hold(on(2, lock(2, LockMode::kShared, 0, 10)));
  const CallId one = call(lock(1, LockMode::kShared, 20, 30));
  unlock(1, 20, 30);
  core.disconnected();
  open(1);
  reply(3, Granted{{3}});
  reply(4, Done{});
  EXPECT_TRUE(std::holds_alternative<Granted>(*outcome_of(one)));
  const Reclaim told = restart();
  EXPECT_EQ(files_lost(), std::vector<FileKey>{kFile});
  ASSERT_EQ(told.locks.size(), 1u) << "others' locks on it protect nothing any more";
  EXPECT_EQ(told.locks[0].file.fileid, 2u);
  restart(3);
  EXPECT_EQ(files_lost().size(), 1u) << "doubt ends with the reclaim";
}

TEST_F(ClientReclaimTest, DoubtEndsWithAReleaseThatNothingCouldOvertake) {
  call(lock(1, LockMode::kShared, 20, 30));
  unlock(1, 20, 30);
  core.disconnected();
  open(1);
  reply(1, Granted{{1}});
  reply(2, Done{});
  call(ReleaseOwnerRequest{kFile, {1}});
  reply(requests()[0].number.value, Done{});
  reclaim();
  EXPECT_TRUE(files_lost().empty());
}

TEST_F(ClientReclaimTest, DoubtOutlivesAReleaseThatWasOpenAtTheReconnect) {
  call(lock(1, LockMode::kShared, 20, 30));
  call(ReleaseOwnerRequest{kFile, {1}});
  core.disconnected();
  open(1);
  reply(1, Granted{{1}});
  reply(2, Done{});
  reclaim();
  EXPECT_EQ(files_lost().size(), 1u);
}

}  // namespace
}  // namespace holdfast::fs
