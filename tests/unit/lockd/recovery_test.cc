// Leases that run out, fencing, restarts: what is given away, when, and what was recorded before.
#include "tests/unit/lockd/driver.h"

#include <gmock/gmock.h>

namespace holdfast::lockd::test {
namespace {

Options real_options() {
  Options options;
  options.lease_ttl = 10s;
  options.storage_delay = 2s;
  return options;
}

struct FencingTest : testing::Test {
  Driver d{real_options()};
  SessionId one = open(1);
  SessionId two = open(2);

  SessionId open(std::uint64_t id) {
    Hello hello = Driver::hello_of();
    hello.write_life = 3s;
    const SessionId session{id};
    d.absorb(d.core.hello(hello, {session, Driver::secret_of(session), "10.0.0.1"},
                          ConnectionId{id}, d.now()));
    return session;
  }
  Effects resume(SessionId session, LossNumber seen = {}, Epoch epoch_seen = {}) {
    Hello hello = Driver::hello_of();
    hello.write_life = 3s;
    hello.epoch_seen = epoch_seen;
    hello.resume = ResumeSession{session, Driver::secret_of(session), seen};
    auto effects = d.core.hello(hello, {SessionId{99}, {}, "10.0.0.1"}, ConnectionId{99}, d.now());
    d.absorb(effects);
    return effects;
  }
  /// Everybody but `gone` renews each second.
  void pass_without(SessionId gone, Duration time) {
    for (Duration passed{0}; passed < time; passed += 1s) {
      d.pass(1s);
      recorded(d.last);
      for (const SessionId session : {one, two})
        if (session != gone) d.renew(session);
    }
  }
  void recorded(const Effects& effects) {
    for (const Record& record : all_of<Record>(effects))
      records.insert(records.end(), record.changes.begin(), record.changes.end());
  }
  StoreChanges records;
};

TEST_F(FencingTest, ASessionIsRecordedBeforeItIsWelcomed) {
  const SessionId three{3};
  const auto effects = d.core.hello(
      Driver::hello_of(), {three, Driver::secret_of(three), "10.9.9.9"}, ConnectionId{3}, d.now());
  ASSERT_EQ(effects.size(), 2U);
  const auto& record = std::get<PutSession>(std::get<Record>(effects[0]).changes.at(0)).record;
  EXPECT_EQ(record.session, three);
  EXPECT_EQ(record.address, "10.9.9.9");
  EXPECT_TRUE(std::holds_alternative<Greet>(effects[1]));
}

TEST_F(FencingTest, NobodyWantsItSoItIsKeptAndGoesOn) {
  d.ask(one, lock(kA, kX, byte(0)));
  pass_without(one, 60s);
  EXPECT_EQ(d.core.status().courtesy, 1U);
  EXPECT_TRUE(records.empty());
  const auto back = std::get<Welcome>(greeting(resume(one)));
  EXPECT_EQ(back.session, one);
  EXPECT_TRUE(back.losses.empty());
  EXPECT_FALSE(back.reclaim);
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(0))), LockErrc::kWouldBlock));
}

TEST_F(FencingTest, ARenewalOnTheOpenConnectionRevivesToo) {
  d.ask(one, lock(kA, kX, byte(0)));
  pass_without(one, 20s);
  d.renew(one);
  EXPECT_EQ(d.core.status().courtesy, 0U);
}

TEST_F(FencingTest, AConflictIsRecordedThenWaitedOutThenGranted) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w = d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  pass_without(one, 9s);
  EXPECT_TRUE(records.empty());
  d.pass(1s);  // the lease is over
  recorded(d.last);
  ASSERT_EQ(records.size(), 1U);
  const auto& loss = std::get<PutLoss>(records[0]);
  EXPECT_EQ(loss.session, one);
  EXPECT_EQ(loss.loss.file, kFile);
  EXPECT_EQ(d.core.status().fencing, 1U);
  EXPECT_EQ(d.core.next_deadline() - d.now(), 5s) << "write_life and storage_delay";
  pass_without(one, 4s);
  EXPECT_FALSE(d.answer(two, w));
  d.pass(1s);
  EXPECT_TRUE(granted(d.answer(two, w)));
}

TEST_F(FencingTest, WhoComesBackLosesOnlyWhatWasGivenAway) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther));
  pass_without(one, 12s);
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(0))), LockErrc::kWouldBlock));
  EXPECT_EQ(std::get<HelloRefused>(greeting(resume(one))).errc, LockErrc::kStarting);
  pass_without(one, 3s);
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kX, byte(0)))));
  const auto back = std::get<Welcome>(greeting(resume(one)));
  ASSERT_EQ(back.losses.size(), 1U);
  EXPECT_EQ(back.losses[0].file, kFile);
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(0), Wait::kNo, kOther)), LockErrc::kWouldBlock));
  // It is told again until it says that it knows.
  EXPECT_EQ(std::get<Welcome>(greeting(resume(one))).losses.size(), 1U);
  const auto effects =
      d.core.renew(one, {.tick = 1, .losses_seen = back.losses[0].number}, d.now());
  EXPECT_TRUE(renewed(effects));
  ASSERT_EQ(all_of<Record>(effects).size(), 1U);
  EXPECT_TRUE(std::get<Welcome>(greeting(resume(one, back.losses[0].number))).losses.empty());
}

TEST_F(FencingTest, AFencedSessionGivesFurtherFilesAwayAtOnceButRecordsThem) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther));
  pass_without(one, 11s);
  d.ask(two, lock(kA, kX, byte(0)));
  pass_without(one, 5s);
  const auto w = d.send(two, lock(kA, kX, byte(0), Wait::kYes, kOther));
  EXPECT_TRUE(granted(d.answer(two, w)));
  recorded(d.last);
  EXPECT_EQ(std::get<PutLoss>(records.back()).loss.file, kOther);
  const auto at = std::find_if(d.last.begin(), d.last.end(), [](const Effect& effect) {
    return std::holds_alternative<Record>(effect);
  });
  EXPECT_LT(at - d.last.begin(), static_cast<std::ptrdiff_t>(d.last.size()) - 1) << "record first";
}

TEST_F(FencingTest, AnAbsentWaiterIsNotGrantedAndWaitsAgainWhenItIsBack) {
  d.ask(one, lock(kB, kX, byte(7)));
  d.ask(two, lock(kA, kX, byte(0)));
  const auto w = d.send(one, lock(kA, kX, byte(0), Wait::kYes));
  pass_without(one, 11s);
  d.ask(two, unlock(kA, byte(0)));
  EXPECT_FALSE(d.answer(one, w));
  EXPECT_TRUE(granted(d.ask(two, lock(kC, kX, byte(0)))));
  resume(one);
  EXPECT_FALSE(d.answer(one, w));
  d.ask(two, unlock(kC, byte(0)));
  EXPECT_TRUE(granted(d.answer(one, w)));
}

TEST_F(FencingTest, ASessionWithNothingSimplyEnds) {
  pass_without(one, 10s);
  EXPECT_THAT(d.ended, testing::ElementsAre(one));
  ASSERT_EQ(records.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<DropSession>(records[0]));
}

TEST_F(FencingTest, TheCommandMustSucceedBeforeTheGrant) {
  Options options = real_options();
  options.fence = {FenceStep::kCommand};
  options.fence_retry = 4s;
  Driver c(options);
  const SessionId victim = c.open();
  const SessionId other = c.open();
  c.ask(victim, lock(kA, kX, byte(0)));
  const auto w = c.send(other, lock(kA, kX, byte(0), Wait::kYes));
  c.pass(9s);
  c.renew(other);
  c.pass(1s);
  const auto runs = all_of<RunFence>(c.last);
  ASSERT_EQ(runs.size(), 1U);
  EXPECT_EQ(runs[0].record.address, "10.0.0.1");
  c.absorb(c.core.fence_done(victim, runs[0].attempt, false, c.now()));
  c.renew(other);
  c.pass(4s);
  const auto again = all_of<RunFence>(c.last);
  ASSERT_EQ(again.size(), 1U);
  c.absorb(c.core.fence_done(victim, runs[0].attempt, true, c.now()));
  EXPECT_FALSE(c.answer(other, w)) << "an old attempt says nothing";
  c.absorb(c.core.fence_done(victim, again[0].attempt, true, c.now()));
  EXPECT_TRUE(granted(c.answer(other, w)));
}

// Found by the simulator: the result came while a leader had lost its authority for a moment, and
// nobody ever asked again.
TEST_F(FencingTest, AFenceThatEndsWithoutAuthorityCountsLater) {
  Options options = real_options();
  options.fence = {FenceStep::kCommand};
  options.fence_retry = 4s;
  for (const bool succeeds : {true, false}) {
    Driver c(options);
    const SessionId victim = c.open();
    const SessionId other = c.open();
    c.ask(victim, lock(kA, kX, byte(0)));
    const auto w = c.send(other, lock(kA, kX, byte(0), Wait::kYes));
    c.pass(9s);
    c.renew(other);
    c.pass(1s);
    const auto runs = all_of<RunFence>(c.last);
    ASSERT_EQ(runs.size(), 1U);
    c.core.authority(c.now());
    c.absorb(c.core.fence_done(victim, runs[0].attempt, succeeds, c.now()));
    EXPECT_FALSE(c.answer(other, w));
    c.core.authority(Instant::max());
    c.renew(other);
    c.pass(4s);
    if (!succeeds) {
      const auto again = all_of<RunFence>(c.last);
      ASSERT_EQ(again.size(), 1U);
      c.absorb(c.core.fence_done(victim, again[0].attempt, true, c.now()));
    }
    EXPECT_TRUE(granted(c.answer(other, w)));
  }
}

TEST_F(FencingTest, ABrokenFileIsLostAtTheEndOfTheLease) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther));
  const auto w = d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  const auto broken = d.core.break_file(one, kFile, d.now());
  EXPECT_FALSE(broken.refused);
  EXPECT_EQ(broken.at_most, 15s);
  EXPECT_FALSE(renewed(d.core.renew(one, {}, d.now())));
  EXPECT_EQ(std::get<HelloRefused>(greeting(resume(one))).errc, LockErrc::kStarting);
  pass_without(one, 15s);
  EXPECT_TRUE(granted(d.answer(two, w)));
  const auto back = std::get<Welcome>(greeting(resume(one)));
  EXPECT_EQ(back.losses.size(), 1U);
  d.renew(one);
  EXPECT_TRUE(d.core.break_file(one, kFile, d.now()).refused);
  EXPECT_TRUE(d.core.break_session(SessionId{77}, d.now()).refused);
}

TEST_F(FencingTest, ABrokenSessionLosesEverything) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w = d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  EXPECT_FALSE(d.core.break_session(one, d.now()).refused);
  pass_without(one, 15s);
  EXPECT_TRUE(granted(d.answer(two, w)));
  EXPECT_EQ(std::get<HelloRefused>(greeting(resume(one))).errc, LockErrc::kSessionLost);
}

TEST_F(FencingTest, ADatabaseIsLostWithItsWalIndex) {
  LockRequest shm = lock(kA, kX, byte(120), Wait::kNo, kShm);
  shm.wal_database = kFile;
  d.ask(one, lock(kA, kS, byte(0x40000002)));
  ASSERT_TRUE(granted(d.ask(one, shm)));
  pass_without(one, 12s);
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kS, byte(0x40000002))), LockErrc::kWalOwnedElsewhere));
  pass_without(one, 3s);
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kS, byte(0x40000002)))));
  EXPECT_EQ(std::get<Welcome>(greeting(resume(one))).losses.size(), 2U);
}

TEST_F(FencingTest, PastItsAuthorityItDoesNothing) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.core.authority(d.now() + 1s);
  d.pass(1s);
  EXPECT_FALSE(renewed(d.core.renew(one, {}, d.now())));
  EXPECT_FALSE(granted(d.ask(two, lock(kA, kX, byte(9)))));
  EXPECT_EQ(std::get<HelloRefused>(greeting(resume(one))).errc, LockErrc::kStandby);
  d.pass(60s);
  EXPECT_TRUE(d.last.empty());
}

TEST_F(FencingTest, AMountThatRemembersMoreThanTheStoreStopsEverything) {
  EXPECT_EQ(std::get<HelloRefused>(greeting(resume(one, {}, Epoch{8}))).errc,
            LockErrc::kStaleLockd);
  EXPECT_TRUE(d.core.status().stale);
  EXPECT_FALSE(granted(d.ask(two, lock(kA, kX, byte(9)))));
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
        session, {.locks = std::move(locks), .wal_databases = {}, .last = true}, d->now()));
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
  const auto effects = d->core.reclaim(
      two,
      {.locks = {held(kA, kX, byte(0)), held(kA, kX, byte(1))}, .wal_databases = {}, .last = true},
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

TEST_F(RestartTest, AReclaimThatBreaksOffBeginsAgain) {
  start({record_of(one), record_of(two)});
  resume(one);
  d->absorb(d->core.reclaim(
      one, {.locks = {held(kA, kX, byte(0))}, .wal_databases = {}, .last = false}, d->now()));
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
