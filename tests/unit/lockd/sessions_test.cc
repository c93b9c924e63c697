#include "tests/unit/lockd/driver.h"

#include <gmock/gmock.h>

namespace holdfast::lockd::test {
namespace {

LockErrc errc_of(const Effects& effects) {
  return std::get<HelloRefused>(greeting(effects)).errc;
}

struct SessionsTest : testing::Test {
  Driver d;
  SessionId one = d.open();
  SessionId two = d.open();

  Effects resume(SessionId session, SessionSecret secret, std::uint8_t volume = 1) {
    Hello hello = Driver::hello_of(volume);
    hello.resume = ResumeSession{session, secret};
    return d.core.hello(hello, {SessionId{99}, {}, "10.0.0.1"}, ConnectionId{99}, d.now());
  }
};

TEST_F(SessionsTest, ExpiryFreesLocksAndGrantsWaiters) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(one, lock(kA, kS, byte(5)));
  d.ask(one, flock(kA, kX));
  const auto w = d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  d.pass(6s);
  d.renew(two);
  d.pass(3s);
  EXPECT_FALSE(d.answer(two, w));
  d.pass(1s);
  EXPECT_TRUE(granted(d.answer(two, w)));
  EXPECT_THAT(d.ended, testing::ElementsAre(one));
  EXPECT_EQ(d.core.list_locks(d.now(), 100).locks.size(), 1U);
  EXPECT_EQ(d.core.probe().expiries, 1U);
}

TEST_F(SessionsTest, RenewalAndAnyRequestKeepTheLease) {
  d.pass(9s);
  d.renew(one);
  d.ask(two, query(kA, kX, byte(0)));
  d.pass(9s);
  EXPECT_TRUE(d.ended.empty());
  EXPECT_EQ(d.core.next_deadline(), d.now() + 1s);
}

TEST_F(SessionsTest, ALeaseThatRanOutEndsTheSessionAlsoWithoutTick) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.pass(5s);
  d.renew(two);
  d.advance_clock(5s);
  const auto late = d.core.renew(one, {}, d.now());
  EXPECT_FALSE(renewed(late));
  d.absorb(late);
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kX, byte(0)))));
  EXPECT_THAT(d.ended, testing::ElementsAre(one));
}

TEST_F(SessionsTest, ARequestOfAnEndedSessionIsToldOnce) {
  d.goodbye(one);
  d.ended.clear();
  d.send(one, lock(kA, kX, byte(0)));
  EXPECT_THAT(d.ended, testing::ElementsAre(one));
  EXPECT_EQ(d.core.list_locks(d.now(), 100).locks.size(), 0U);
  d.ended.clear();
  d.advance_clock(10s);
  d.send(two, lock(kA, kX, byte(0)));
  EXPECT_THAT(d.ended, testing::ElementsAre(two));
}

TEST_F(SessionsTest, GoodbyeLeavesNothingBehind) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(two, lock(kA, kS, byte(9)));
  d.ask(two, lock(kA, kX, bytes(0x40000000, 0x40000200)));
  d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  d.goodbye(two);
  d.goodbye(one);
  EXPECT_TRUE(d.core.list_locks(d.now(), 100).locks.empty());
  EXPECT_TRUE(d.core.list_sessions(d.now()).sessions.empty());
  EXPECT_EQ(d.core.next_deadline(), Instant::max());
}

TEST_F(SessionsTest, ResumeGoesOnWithLocksAndKeptReplies) {
  const auto first = d.send(one, lock(kA, kX, byte(0)));
  const auto second = d.send(one, lock(kA, kX, byte(1)));
  d.core.connected(one, false);
  const auto outcome = resume(one, Driver::secret_of(one));
  EXPECT_EQ(std::get<Welcome>(greeting(outcome)).session, one);
  const auto kept = all_of<SendReply>(outcome);
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_EQ(kept[0].reply.number, first);
  EXPECT_EQ(kept[1].reply.number, second);
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(0))), LockErrc::kWouldBlock));
}

TEST_F(SessionsTest, ResumeIsRefusedWithoutTheSecretOrForAnotherVolume) {
  EXPECT_EQ(errc_of(resume(one, SessionSecret{})), LockErrc::kBadSecret);
  EXPECT_EQ(errc_of(resume(one, Driver::secret_of(one), 2)), LockErrc::kBadSecret);
  EXPECT_EQ(errc_of(resume(SessionId{77}, SessionSecret{})), LockErrc::kSessionLost);
  d.pass(11s);
  EXPECT_EQ(errc_of(resume(one, Driver::secret_of(one))), LockErrc::kSessionLost);
}

TEST_F(SessionsTest, OneNameForTwoVolumesIsRefusedWhileTheOtherIsMounted) {
  Hello hello = Driver::hello_of(2);
  hello.volume_name = Driver::hello_of(1).volume_name;  // as session `one` has it
  const Identity fresh{SessionId{9}, {}, {}};
  EXPECT_EQ(errc_of(d.core.hello(hello, fresh, ConnectionId{9}, d.now())), LockErrc::kBadRequest);
  hello.volume_name.clear();
  EXPECT_TRUE(std::holds_alternative<Welcome>(
      greeting(d.core.hello(hello, fresh, ConnectionId{9}, d.now()))));
}

TEST_F(SessionsTest, AClientOfAnotherProtocolIsRefused) {
  Hello hello = Driver::hello_of();
  hello.version_min = kProtocolVersion + 1;
  hello.version_max = kProtocolVersion + 1;
  EXPECT_EQ(errc_of(d.core.hello(hello, {SessionId{9}, {}, {}}, ConnectionId{9}, d.now())),
            LockErrc::kVersionMismatch);
}

// ---- Exactly once

Effects resend(Driver& d, SessionId session, RequestNumber number, Command command,
               RequestNumber acknowledged = {}) {
  return visible(d.core.request(session, {number, acknowledged, std::move(command)}, d.now()));
}
Outcome only_outcome(const Effects& effects) {
  EXPECT_EQ(effects.size(), 1U);
  return std::get<SendReply>(effects.at(0)).reply.outcome;
}

TEST_F(SessionsTest, ARepeatedRequestGetsTheKeptReplyAndIsNotDoneAgain) {
  const auto number = d.send(one, lock(kA, kX, byte(0)));
  const auto token = std::get<Granted>(*d.answer(one, number)).token;
  d.ask(one, unlock(kA, byte(0)));
  const auto again = only_outcome(resend(d, one, number, lock(kA, kX, byte(0))));
  EXPECT_EQ(std::get<Granted>(again).token, token);
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kX, byte(0)))));
}

TEST_F(SessionsTest, ARepeatedRequestThatWaitsStaysSilentAndWaitsOnce) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w = d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  EXPECT_TRUE(resend(d, two, w, lock(kA, kX, byte(0), Wait::kYes)).empty());
  EXPECT_EQ(d.core.list_sessions(d.now()).sessions.back().waiters, 1U);
}

TEST_F(SessionsTest, NumbersOutOfOrderAreRefusedAndChangeNothing) {
  d.acknowledged[one] = {};
  const auto first = d.send(one, lock(kA, kX, byte(0)));
  d.acknowledged[one] = first;
  d.send(one, lock(kA, kX, byte(1)));
  const auto bad = [&](RequestNumber number, RequestNumber acknowledged) {
    const auto outcome =
        only_outcome(resend(d, one, number, unlock(kA, ByteRange::whole_file()), acknowledged));
    return refused(outcome, LockErrc::kBadRequest);
  };
  EXPECT_TRUE(bad(RequestNumber{0}, {}));
  EXPECT_TRUE(bad(first, {})) << "acknowledged already";
  EXPECT_TRUE(bad(RequestNumber{9}, {})) << "a gap";
  EXPECT_TRUE(bad(RequestNumber{3}, RequestNumber{3})) << "acknowledges itself";
  EXPECT_EQ(d.core.list_locks(d.now(), 10).locks.size(), 1U) << "bytes 0 and 1, merged";
  EXPECT_TRUE(done(d.ask(one, unlock(kA, byte(0))))) << "the session goes on";
}

TEST_F(SessionsTest, AnUnansweredRequestCannotBeAcknowledged) {
  d.ask(one, lock(kA, kX, byte(0)));
  const auto w = d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  EXPECT_TRUE(
      refused(only_outcome(resend(d, two, RequestNumber{w.value + 1}, unlock(kA, byte(0)), w)),
              LockErrc::kBadRequest));
}

// ---- Limits

TEST(Limited, EachLimitHasItsError) {
  Options options = plain_options();
  options.limits = {.sessions_max = 2,
                    .files_max = 2,
                    .ranges_per_file_max = 3,
                    .waiters_per_file_max = 2,
                    .requests_in_flight_max = 12};
  Driver d(options);
  const SessionId one = d.open();
  const SessionId two = d.open();
  EXPECT_EQ(
      errc_of(d.core.hello(Driver::hello_of(), {SessionId{3}, {}, {}}, ConnectionId{3}, d.now())),
      LockErrc::kTooManySessions);

  d.ask(one, lock(kA, kX, bytes(0, 10)));
  d.ask(one, lock(kA, kX, byte(20)));
  d.ask(one, lock(kA, kX, byte(30)));
  EXPECT_TRUE(refused(d.ask(one, lock(kA, kX, byte(40))), LockErrc::kTooManyRanges));
  EXPECT_TRUE(refused(d.ask(one, unlock(kA, byte(5))), LockErrc::kTooManyRanges)) << "would split";
  EXPECT_TRUE(done(d.ask(one, unlock(kA, byte(9))))) << "shrinks";

  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther))));
  EXPECT_TRUE(refused(d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kShm)), LockErrc::kTooManyFiles));

  const auto w = d.send(two, lock(kA, kX, byte(0), Wait::kYes));
  d.send(two, lock(kB, kX, byte(0), Wait::kYes));
  EXPECT_TRUE(refused(d.ask(two, lock(kC, kX, byte(0), Wait::kYes)), LockErrc::kTooManyWaiters));
  EXPECT_FALSE(d.answer(two, w));
  EXPECT_EQ(d.core.probe().limit_hits.total(), 5U);

  for (int i = 0; i < 9; ++i)
    d.ask(two, query(kA, kX, byte(0)));
  EXPECT_TRUE(refused(d.ask(two, query(kA, kX, byte(0))), LockErrc::kTooManyRequests));
  const auto hits = [&](Limit limit) { return d.core.probe().limit_hits.of(limit).count; };
  EXPECT_EQ(hits(Limit::kSessions), 1U);
  EXPECT_EQ(hits(Limit::kRangesOfFile), 2U);
  EXPECT_EQ(hits(Limit::kFiles), 1U);
  EXPECT_EQ(hits(Limit::kWaitersOfFile), 1U);
  EXPECT_EQ(hits(Limit::kRequestsOfSession), 1U);
  EXPECT_EQ(d.core.probe().limit_hits.of(Limit::kRequestsOfSession).last, two);
}

// Whoever has a credential of one volume must not use up what the others need.
TEST(Limited, OneVolumeAndOneSessionHaveTheirShareOnly) {
  Options options = plain_options();
  options.limits.sessions_per_volume_max = 2;
  options.limits.ranges_per_session_max = 3;
  Driver d(options);
  const SessionId one = d.open();
  const SessionId two = d.open();
  const auto say_hello = [&](std::uint64_t id, std::uint8_t volume) {
    const auto effects =
        d.core.hello(Driver::hello_of(volume), {SessionId{id}, {}, {}}, ConnectionId{id}, d.now());
    d.absorb(effects);
    return std::holds_alternative<Welcome>(greeting(effects));
  };
  EXPECT_FALSE(say_hello(3, 1)) << "the volume of d.open()";
  EXPECT_TRUE(say_hello(4, 2));
  d.goodbye(two);
  EXPECT_TRUE(say_hello(5, 1)) << "one has gone";

  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, bytes(0, 10)))));
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther))));
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, byte(20)))));
  EXPECT_TRUE(refused(d.ask(one, lock(kA, kX, byte(40))), LockErrc::kTooManyRanges));
  EXPECT_TRUE(refused(d.ask(one, unlock(kA, byte(5))), LockErrc::kTooManyRanges)) << "would split";
  EXPECT_TRUE(granted(d.ask(SessionId{5}, lock(kA, kX, byte(40))))) << "others are not full";

  // The errors say less: a file and a session that are full have the same one.
  const LimitHits& hits = d.core.probe().limit_hits;
  EXPECT_EQ(hits.of(Limit::kSessionsOfVolume).count, 1U);
  EXPECT_EQ(hits.of(Limit::kRangesOfSession).count, 2U);
  EXPECT_EQ(hits.of(Limit::kRangesOfSession).last, one);
  EXPECT_EQ(hits.total(), 3U);
}

TEST(VolumeNames, OneNameIsOneVolumeForAsLongAsAnySessionHasIt) {
  Driver d;
  const auto say_hello = [&](std::uint64_t id, std::uint8_t volume, const std::string& name) {
    Hello hello = Driver::hello_of(volume);
    hello.volume_name = name;
    const auto effects = d.core.hello(hello, {SessionId{id}, {}, {}}, ConnectionId{id}, d.now());
    d.absorb(effects);
    return std::holds_alternative<Welcome>(greeting(effects));
  };
  EXPECT_TRUE(say_hello(1, 1, "nas:/export"));
  EXPECT_TRUE(say_hello(2, 1, "nas:/export"));
  EXPECT_FALSE(say_hello(3, 2, "nas:/export"));
  EXPECT_TRUE(say_hello(4, 2, "nas:/other"));
  d.goodbye(SessionId{1});
  EXPECT_FALSE(say_hello(5, 2, "nas:/export"));
  d.goodbye(SessionId{2});
  EXPECT_TRUE(say_hello(6, 2, "nas:/export"));
  EXPECT_TRUE(say_hello(7, 1, ""));
  EXPECT_TRUE(say_hello(8, 2, "")) << "without a name nothing is compared";
}

// A mount whose credential names its volume may call it what it likes: nobody is kept out by it.
TEST(VolumeNames, OfAMountWithACredentialOfItsVolumeAreItsOwnWord) {
  Driver d;
  const auto say_hello = [&](std::uint64_t id, std::uint8_t volume, bool compare) {
    Hello hello = Driver::hello_of(volume);
    hello.volume_name = "nas:/export";
    const Identity fresh{SessionId{id}, {}, {}, compare};
    const auto effects = d.core.hello(hello, fresh, ConnectionId{id}, d.now());
    d.absorb(effects);
    return std::holds_alternative<Welcome>(greeting(effects));
  };
  EXPECT_TRUE(say_hello(1, 2, false));
  EXPECT_TRUE(say_hello(2, 1, true)) << "the other one's word does not count";
  EXPECT_TRUE(say_hello(3, 2, false));
  EXPECT_FALSE(say_hello(4, 2, true));
  d.goodbye(SessionId{2});
  EXPECT_TRUE(say_hello(5, 2, true));
}

}  // namespace
}  // namespace holdfast::lockd::test
