// Restarts: who is waited for, who may reclaim, and in what order waits go on.
#include "tests/unit/lockd/driver.h"

#include <gmock/gmock.h>

namespace holdfast::lockd::test {
namespace {

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
Recovered with(std::vector<SessionRecord> sessions) {
  return {.epoch = Epoch{8}, .empty = false, .lease_ttl_max = 10s, .sessions = std::move(sessions)};
}
HeldLock held(OwnerId owner, LockMode mode, ByteRange range, FileKey file = kFile) {
  HeldLock lock;
  lock.file = file;
  lock.owner = owner;
  lock.handle = HandleId{owner.value};
  lock.mode = mode;
  lock.range = range;
  return lock;
}

struct RestartTest : testing::Test {
  const SessionId one{1001};
  const SessionId two{1002};
  std::optional<Driver> d;

  void start(std::vector<SessionRecord> sessions) {
    d.emplace(real_options(), with(std::move(sessions)));
  }
  Welcome resume(SessionId session) {
    Hello hello = Driver::hello_of();
    hello.write_life = 3s;
    hello.resume = ResumeSession{session, Driver::secret_of(session), {}};
    const auto effects = d->core.hello(hello, {SessionId{99}, {}, "10.0.0.1"},
                                       ConnectionId{++connections}, d->now());
    d->absorb(effects);
    const auto answer = greeting(effects);
    EXPECT_TRUE(std::holds_alternative<Welcome>(answer));
    return std::holds_alternative<Welcome>(answer) ? std::get<Welcome>(answer) : Welcome{};
  }
  void reclaim(SessionId session, std::vector<HeldLock> locks) {
    d->absorb(d->core.reclaim(
        session, {.tokens = {}, .locks = std::move(locks), .wal_databases = {}, .last = true},
        d->now()));
  }
  std::uint64_t connections = 0;
};

TEST_F(RestartTest, WhoIsBackHasItsLocksAndOthersWaitForThem) {
  start({record_of(one), record_of(two)});
  EXPECT_TRUE(resume(one).reclaim);
  reclaim(one, {held(kA, kX, byte(0))});
  EXPECT_TRUE(d->core.status().grace);
  EXPECT_TRUE(resume(two).reclaim);
  reclaim(two, {});
  EXPECT_FALSE(d->core.status().grace) << "all are back";
  EXPECT_TRUE(refused(d->ask(two, lock(kA, kX, byte(0))), LockErrc::kWouldBlock));
  EXPECT_TRUE(granted(d->ask(two, lock(kA, kX, byte(1)))));
}

TEST_F(RestartTest, NothingIsGrantedWhileSomebodyIsMissing) {
  start({record_of(one), record_of(two)});
  resume(one);
  reclaim(one, {});
  const auto w = d->send(one, lock(kA, kX, byte(0)));
  const SessionId fresh = d->open();
  const auto v = d->send(fresh, lock(kA, kX, byte(5)));
  for (int i = 0; i < 14; ++i) {
    d->pass(1s);
    d->renew(one);
    d->renew(fresh);
    EXPECT_FALSE(d->answer(one, w)) << i;
    EXPECT_FALSE(d->answer(fresh, v)) << i;
  }
  d->pass(1s);  // lease, write life and storage delay are over
  EXPECT_TRUE(granted(d->answer(one, w)));
  EXPECT_TRUE(granted(d->answer(fresh, v)));
  EXPECT_THAT(d->ended, testing::ElementsAre(two));
}

// Found by the chaos suite: one restart in fourteen paused everybody for a lease and a fence. A
// node that was dead for hours was still in the store, with something that nobody had wanted.
TEST_F(RestartTest, WhoWasQuietBeforeTheRestartIsNotWaitedForLong) {
  SessionRecord dead = record_of(two);
  dead.quiet = Quiet::kWaited;
  start({record_of(one), dead});
  resume(one);
  reclaim(one, {held(kA, kX, byte(0))});
  d->pass(60s);
  EXPECT_TRUE(d->core.status().grace) << "nobody asks for anything: it may come back yet";
  resume(one);
  const auto w = d->send(one, lock(kA, kX, byte(1)));
  d->pass(1400ms);
  EXPECT_FALSE(d->answer(one, w));
  EXPECT_EQ(d->core.next_deadline() - d->now(), 100ms);
  d->pass(100ms);
  EXPECT_TRUE(granted(d->answer(one, w)));
  EXPECT_THAT(d->ended, testing::ElementsAre(two));
  // Recorded before anything is granted (RFC 8881 section 8.4.3, the second edge condition).
  const auto records = all_of<Record>(d->last);
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(std::get<EndSessionRecord>(records[0].changes.at(0)).session, two);
  const auto first = [&](auto wanted) {
    return std::find_if(d->last.begin(), d->last.end(), wanted) - d->last.begin();
  };
  EXPECT_LT(first([](const Effect& e) { return std::holds_alternative<Record>(e); }),
            first([](const Effect& e) { return std::holds_alternative<SendReply>(e); }));
}

TEST_F(RestartTest, AQuietSessionThatIsBackInTimeReclaimsAndIsQuietNoMore) {
  SessionRecord away = record_of(two);
  away.quiet = Quiet::kFenced;
  start({record_of(one), away});
  resume(one);
  reclaim(one, {});
  const auto w = d->send(one, lock(kA, kX, byte(0)));
  d->pass(1s);
  EXPECT_TRUE(resume(two).reclaim);
  const auto at = std::find_if(d->last.begin(), d->last.end(), [](const Effect& effect) {
    return std::holds_alternative<Record>(effect);
  });
  ASSERT_NE(at, d->last.end());
  EXPECT_EQ(std::get<PutSession>(std::get<Record>(*at).changes.at(0)).record.quiet, Quiet::kNo);
  EXPECT_TRUE(std::holds_alternative<Greet>(d->last.back())) << "recorded before it is welcomed";
  d->pass(5s);
  EXPECT_FALSE(d->answer(one, w)) << "its lease runs again: it is waited for as for any other";
  reclaim(two, {held(kA, kX, byte(0))});
  EXPECT_TRUE(refused(d->answer(one, w), LockErrc::kWouldBlock));
}

TEST_F(RestartTest, AQuietSessionIsFencedByTheCommandIfOnlyThatCounts) {
  SessionRecord waited = record_of(two);
  waited.quiet = Quiet::kWaited;
  Options options = real_options();
  options.fence = {FenceStep::kCommand};
  d.emplace(options, with({record_of(one), waited}));
  resume(one);
  reclaim(one, {});
  const auto w = d->send(one, lock(kA, kX, byte(0)));
  d->pass(1500ms);
  const auto runs = all_of<RunFence>(d->last);
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_FALSE(d->answer(one, w)) << "waiting was never enough here";
  d->absorb(d->core.fence_done(two, runs[0].attempt, true, d->now()));
  EXPECT_TRUE(granted(d->answer(one, w)));

  SessionRecord fenced = record_of(two);
  fenced.quiet = Quiet::kFenced;
  d.emplace(options, with({record_of(one), fenced}));
  resume(one);
  reclaim(one, {});
  const auto v = d->send(one, lock(kA, kX, byte(0)));
  d->pass(1500ms);
  EXPECT_TRUE(all_of<RunFence>(d->last).empty()) << "it was fenced: the node may be back since";
  EXPECT_TRUE(granted(d->answer(one, v)));
}

TEST_F(RestartTest, AnOrderToBreakOutlivesARestart) {
  SessionRecord broken = record_of(one);
  broken.breaks.files = {kFile, kShm};  // it holds nothing of the second any more
  start({broken, record_of(two)});
  EXPECT_TRUE(resume(one).reclaim) << "it tells what it holds first";
  reclaim(one, {held(kA, kX, byte(0)), held(kA, kX, byte(0), kOther)});
  const auto records = all_of<Record>(d->last);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(std::get<PutSession>(records[0].changes.at(0)).record.breaks.files,
            std::set<FileKey>{kFile});
  resume(two);
  reclaim(two, {});
  EXPECT_FALSE(d->core.status().grace);
  const auto waits = d->send(two, lock(kA, kX, byte(0), Wait::kYes));
  EXPECT_FALSE(renewed(d->core.renew(one, {}, d->now())));
  for (int i = 0; i < 15; ++i) {
    EXPECT_FALSE(d->answer(two, waits)) << i;
    d->pass(1s);
    d->renew(two);
  }
  EXPECT_TRUE(granted(d->answer(two, waits)));
  const Welcome back = resume(one);
  ASSERT_EQ(back.losses.size(), 1U);
  EXPECT_EQ(back.losses[0].file, kFile);
  d->renew(one);
}

TEST_F(RestartTest, WaitersKeepTheirOldOrder) {
  start({record_of(one), record_of(two)});
  resume(one);
  reclaim(one, {});
  resume(two);
  LockRequest second = lock(kA, kX, byte(0), Wait::kYes);
  second.place = QueuePlace{Epoch{7}, 12};
  const auto late = d->send(one, second);
  reclaim(two, {held(kB, kX, byte(0))});
  // Grace is over now; a placed request after it is an ordinary one, so begin again with both.
  EXPECT_FALSE(d->answer(one, late));

  start({record_of(one), record_of(two), record_of(SessionId{1003})});
  const SessionId three{1003};
  resume(one);
  reclaim(one, {});
  resume(two);
  reclaim(two, {});
  const auto newcomer = d->send(two, lock(kC, kX, byte(0), Wait::kYes));
  const auto after = d->send(one, second);
  LockRequest first = second;
  first.place = QueuePlace{Epoch{7}, 11};
  const auto before = d->send(two, first);
  resume(three);
  reclaim(three, {held(kB, kX, byte(0))});
  EXPECT_FALSE(d->answer(two, before));
  d->ask(three, unlock(kB, byte(0)));
  EXPECT_TRUE(granted(d->answer(two, before)));
  EXPECT_FALSE(d->answer(one, after));
  d->ask(two, unlock(kA, byte(0)));
  EXPECT_TRUE(granted(d->answer(one, after)));
  EXPECT_FALSE(d->answer(two, newcomer));
}

// Or it would overtake, after another restart, those that it stands behind now.
TEST_F(RestartTest, WhoIsBackTooLateForItsOldPlaceIsToldItsNewOne) {
  LockRequest waits = lock(kB, kX, byte(0), Wait::kYes);
  waits.place = QueuePlace{Epoch{7}, 12};
  std::vector<QueuePlace> told;
  const auto note = [&](const Effects& effects) {
    for (const Send& sent : all_of<Send>(effects))
      if (const auto* queued = std::get_if<Queued>(&sent.message)) told.push_back(queued->place);
    d->absorb(effects);
  };
  start({record_of(one), record_of(two)});
  resume(one);
  reclaim(one, {held(kA, kX, byte(0))});
  note(d->core.request(one, {RequestNumber{1}, RequestNumber{0}, waits}, d->now()));
  resume(two);
  note(d->core.reclaim(two, {.tokens = {}, .locks = {}, .wal_databases = {}, .last = true},
                       d->now()));
  ASSERT_FALSE(d->core.status().grace);
  EXPECT_TRUE(told.empty()) << "in time: it has its old place";
  note(d->core.request(two, {RequestNumber{1}, RequestNumber{0}, waits}, d->now()));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].epoch, Epoch{8});
}

// RFC 8881 section 8.4.3, first edge condition: lost before the restart.
TEST_F(RestartTest, WhatWasLostCannotBeReclaimed) {
  SessionRecord loser = record_of(one);
  loser.losses.push_back({LossNumber{1}, kFile});
  start({loser, record_of(two)});
  const Welcome back = resume(one);
  ASSERT_EQ(back.losses.size(), 1U);
  reclaim(one, {held(kA, kX, byte(0)), held(kA, kX, byte(0), kOther)});
  resume(two);
  reclaim(two, {held(kA, kX, byte(0))});
  d->pass(5s);  // the fence of the loss is waited out again
  EXPECT_FALSE(d->core.status().grace);
  EXPECT_EQ(d->core.list_locks(d->now(), 10).locks.size(), 2U);
}

// The second: missed one grace period, tries in the next.
TEST_F(RestartTest, WhoMissedAGracePeriodIsRecordedAndRefused) {
  start({record_of(one)});
  d->pass(10s);
  bool ended = false;
  for (const Record& record : all_of<Record>(d->last))
    for (const StoreChange& change : record.changes)
      ended = ended || std::holds_alternative<EndSessionRecord>(change);
  EXPECT_TRUE(ended);
  SessionRecord struck = record_of(one);
  struck.ended = true;
  start({struck});
  Hello hello = Driver::hello_of();
  hello.resume = ResumeSession{one, Driver::secret_of(one), {}};
  EXPECT_EQ(std::get<HelloRefused>(
                greeting(d->core.hello(hello, {SessionId{9}, {}, {}}, ConnectionId{1}, d->now())))
                .errc,
            LockErrc::kSessionLost);
  EXPECT_TRUE(d->core.status().grace) << "it may still write";
  d->pass(5s);
  EXPECT_FALSE(d->core.status().grace);
}

TEST_F(RestartTest, ConflictingReclaimsAreALossForTheSecond) {
  start({record_of(one), record_of(two)});
  resume(one);
  reclaim(one, {held(kA, kX, byte(0))});
  resume(two);
  const auto effects = d->core.reclaim(two,
                                       {.tokens = {},
                                        .locks = {held(kA, kX, byte(0)), held(kA, kX, byte(1))},
                                        .wal_databases = {},
                                        .last = true},
                                       d->now());
  d->absorb(effects);
  const auto sent = all_of<Send>(effects);
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_EQ(std::get<Reclaimed>(sent[0].message).losses.size(), 1U);
  EXPECT_EQ(d->core.list_locks(d->now(), 10).locks.size(), 1U);
}

TEST_F(RestartTest, AnEmptyStoreWaitsOutWhoeverMayHaveALease) {
  Recovered empty = with({});
  empty.empty = true;
  d.emplace(real_options(), empty);
  const SessionId fresh = d->open();
  const auto w = d->send(fresh, lock(kA, kX, byte(0)));
  for (int i = 0; i < 16; ++i) {
    d->pass(1s);
    d->renew(fresh);
    EXPECT_FALSE(d->answer(fresh, w)) << i;
  }
  d->pass(1s);
  EXPECT_TRUE(granted(d->answer(fresh, w)));
  const auto records = all_of<Record>(d->last);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<Settled>(records[0].changes.at(0)));
}

TEST_F(RestartTest, ACancelReachesARequestThatWaitsForTheEndOfGrace) {
  start({record_of(one), record_of(two)});
  resume(one);
  reclaim(one, {});
  const auto w = d->send(one, lock(kA, kX, byte(0), Wait::kYes));
  d->ask(one, CancelRequest{w});
  EXPECT_TRUE(refused(d->answer(one, w), LockErrc::kInterrupted));
}

// Found by the simulator (seed 314100). The mount takes the old lock for lost, as flock(2) says.
TEST_F(RestartTest, AFlockConversionThatIsCancelledInGraceHasGivenUpItsLock) {
  HeldLock shared = held(kA, kS, ByteRange::whole_file());
  shared.space = LockSpace::kFlock;
  start({record_of(one), record_of(two)});
  resume(one);
  reclaim(one, {shared});
  const auto again = d->send(one, flock(kA, kS, Wait::kYes));
  d->ask(one, CancelRequest{again});
  EXPECT_EQ(d->core.list_locks(d->now(), 10).locks.size(), 1U) << "no conversion";
  const auto w = d->send(one, flock(kA, kX, Wait::kYes));
  d->ask(one, CancelRequest{w});
  EXPECT_TRUE(refused(d->answer(one, w), LockErrc::kInterrupted));
  resume(two);
  reclaim(two, {});
  EXPECT_TRUE(granted(d->ask(two, flock(kA, kX))));
}

TEST_F(RestartTest, AReclaimThatBreaksOffBeginsAgain) {
  start({record_of(one), record_of(two)});
  resume(one);
  d->absorb(d->core.reclaim(
      one, {.tokens = {}, .locks = {held(kA, kX, byte(0))}, .wal_databases = {}, .last = false},
      d->now()));
  EXPECT_TRUE(resume(one).reclaim);
  reclaim(one, {held(kA, kX, byte(3))});
  resume(two);
  reclaim(two, {});
  EXPECT_TRUE(granted(d->ask(two, lock(kA, kX, byte(0)))));
  EXPECT_TRUE(refused(d->ask(two, lock(kA, kX, byte(3))), LockErrc::kWouldBlock));
}

TEST_F(RestartTest, TokensGrowOverRestarts) {
  Driver before;
  const SessionId session = before.open();
  const auto old = std::get<Granted>(*before.ask(session, lock(kA, kX, byte(0)))).token;
  start({});
  EXPECT_GT(std::get<Granted>(*d->ask(d->open(), lock(kA, kX, byte(0)))).token, old);
}

}  // namespace
}  // namespace holdfast::lockd::test
