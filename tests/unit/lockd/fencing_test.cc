// Leases that run out and fencing: what is given away, when, and what was recorded before.
#include "tests/unit/lockd/driver.h"

#include <gmock/gmock.h>

namespace holdfast::lockd::test {
namespace {

struct FencingTest : testing::Test {
  explicit FencingTest(const Options& options = real_options()) : d(options) {}

  Driver d;
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

struct ShortCourtesyTest : FencingTest {
  ShortCourtesyTest() : FencingTest(options()) {}
  static Options options() {
    Options options = real_options();
    options.courtesy_max = 30s;
    return options;
  }
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
  EXPECT_EQ(records.size(), 1U) << "only that it is quiet";
  const auto back = std::get<Welcome>(greeting(resume(one)));
  EXPECT_EQ(back.session, one);
  EXPECT_TRUE(back.losses.empty());
  EXPECT_FALSE(back.reclaim);
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(0))), LockErrc::kWouldBlock));
}

TEST_F(FencingTest, ARenewalOnTheOpenConnectionRevivesToo) {
  d.ask(one, lock(kA, kX, byte(0)));
  pass_without(one, 14s);
  d.renew(one);
  EXPECT_EQ(d.core.status().courtesy, 0U);
}

TEST_F(FencingTest, WhoCannotWriteAnyMoreIsRecordedAsQuietAndMustSayHello) {
  d.ask(one, lock(kA, kX, byte(0)));
  pass_without(one, 14s);
  EXPECT_TRUE(records.empty()) << "a write of it may still take effect";
  d.pass(1s);
  recorded(d.last);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(std::get<PutSession>(records[0]).record.session, one);
  EXPECT_EQ(std::get<PutSession>(records[0]).record.quiet, Quiet::kWaited);
  EXPECT_EQ(all_of<Disconnect>(d.last).size(), 1U);
  d.renew(two);
  // An answer to a renewal waits for no record, and this one would have to.
  const auto effects = d.core.renew(one, {}, d.now());
  EXPECT_FALSE(renewed(effects));
  EXPECT_EQ(all_of<Disconnect>(effects).size(), 1U);
  EXPECT_TRUE(
      all_of<SendReply>(d.core.request(one, {RequestNumber{2}, {}, unlock(kA, byte(0))}, d.now()))
          .empty());
  const auto back = resume(one);
  ASSERT_EQ(back.size(), 3U) << "record, welcome, the reply it has not acknowledged";
  EXPECT_EQ(std::get<PutSession>(std::get<Record>(back[0]).changes.at(0)).record.quiet, Quiet::kNo);
  EXPECT_TRUE(std::holds_alternative<Greet>(back[1]));
  d.renew(one);
}

// It would count towards sessions_max for a day.
TEST_F(FencingTest, AFencedSessionThatHasNothingLeftEndsAfterAMinute) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  pass_without(one, 74s);
  EXPECT_TRUE(d.ended.empty());
  pass_without(one, 1s);
  EXPECT_THAT(d.ended, testing::ElementsAre(one));
  EXPECT_TRUE(std::holds_alternative<DropSession>(records.back()));
  EXPECT_EQ(std::get<HelloRefused>(greeting(resume(one))).errc, LockErrc::kSessionLost);
}

TEST_F(FencingTest, AFencedSessionThatIsBackWithinAMinuteGoesOnWithWhatItWaitsFor) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(two, lock(kB, kX, byte(0), Wait::kNo, kOther));
  const auto waits = d.send(one, lock(kA, kX, byte(0), Wait::kYes, kOther));
  d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  pass_without(one, 70s);
  EXPECT_TRUE(d.ended.empty());
  resume(one);
  d.ask(two, unlock(kB, byte(0), kOther));
  EXPECT_TRUE(granted(d.answer(one, waits)));
  pass_without(two, 5s);
  EXPECT_TRUE(d.ended.empty());
}

TEST_F(FencingTest, AFurtherLossLeavesAFencedSessionItsMinute) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther));
  d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  pass_without(one, 100s);
  EXPECT_TRUE(d.ended.empty()) << "it has something";
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kX, byte(0), Wait::kYes, kOther))));
  pass_without(one, 59s);
  EXPECT_TRUE(d.ended.empty());
  pass_without(one, 1s);
  EXPECT_THAT(d.ended, testing::ElementsAre(one));
}

// A node with thousands of files dies, and another one opens them one after the other.
TEST_F(FencingTest, WhoHasLostManyFilesIsRecordedAsEndedOnceAndMayResumeAllTheSame) {
  const auto file = [](std::uint64_t number) { return FileKey{100 + number, 1}; };
  const std::size_t awaited = Options{}.losses_awaited_max;
  for (std::size_t i = 0; i < awaited + 4; ++i)
    d.ask(one, lock(kA, kX, byte(0), Wait::kNo, file(i)));
  const auto first = d.send(two, lock(kB, kX, byte(0), Wait::kYes, file(0)));
  pass_without(one, 15s);
  EXPECT_TRUE(granted(d.answer(two, first)));
  records.clear();
  for (std::size_t i = 1; i < awaited + 3; ++i) {
    EXPECT_TRUE(granted(d.ask(two, lock(kB, kX, byte(0), Wait::kYes, file(i)))));
    recorded(d.last);
  }
  ASSERT_EQ(records.size(), awaited + 3) << "a loss each, and one end";
  EXPECT_EQ(std::get<EndSessionRecord>(records[awaited - 1]).session, one);
  EXPECT_TRUE(d.ended.empty());

  const auto effects = resume(one);
  const auto back = std::get<Welcome>(greeting(effects));
  EXPECT_EQ(back.losses.size(), awaited + 3);
  const auto& put = std::get<PutSession>(std::get<Record>(effects[0]).changes.at(0));
  EXPECT_FALSE(put.record.ended) << "before the Welcome it is on stable storage that it goes on";
  EXPECT_TRUE(refused(d.ask(two, lock(kB, kX, byte(0), Wait::kNo, file(awaited + 3))),
                      LockErrc::kWouldBlock));
}

// A lockd that is restarted before it has dropped the session must not let it reclaim that.
TEST_F(ShortCourtesyTest, WhatAFencedSessionKeptIsGivenAwayOnceItsEndIsRecorded) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther));
  d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  pass_without(one, 39s);
  EXPECT_TRUE(d.ended.empty());
  EXPECT_TRUE(std::holds_alternative<PutSession>(records.back())) << "fenced";
  records.clear();
  d.pass(1s);
  recorded(d.last);
  EXPECT_THAT(d.ended, testing::ElementsAre(one));
  ASSERT_EQ(records.size(), 2U);
  EXPECT_EQ(std::get<EndSessionRecord>(records[0]).session, one);
  EXPECT_EQ(std::get<DropSession>(records[1]).session, one);
  EXPECT_TRUE(std::holds_alternative<Record>(d.last.at(0))) << "record first";
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kX, byte(0), Wait::kNo, kOther))));
}

TEST_F(FencingTest, AFencedSessionThatKeepsSomethingIsRecordedAsFenced) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther));
  d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  pass_without(one, 15s);
  ASSERT_EQ(records.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<PutLoss>(records[0]));
  EXPECT_EQ(std::get<PutSession>(records[1]).record.quiet, Quiet::kFenced);
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
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kShm));
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
  ASSERT_EQ(all_of<Record>(broken.effects).size(), 1U) << "a restart does not forget it";
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
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther));
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

}  // namespace
}  // namespace holdfast::lockd::test
