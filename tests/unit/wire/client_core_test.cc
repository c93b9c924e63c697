#include "fs/lock/client_core.h"

#include "tests/unit/wire/client_core_fixture.h"

namespace holdfast::fs {
namespace {

using namespace std::chrono_literals;

// 1 % of the TTL and 200 ms before the TTL, counted from the sending.
constexpr milliseconds kUsable = kTtl - 100ms - 200ms;

TEST_F(ClientCoreTest, TheDeadlineCountsFromWhenHelloWasSent) {
  EXPECT_FALSE(core.entitled(at(0ms)));
  open(1, 0ms, 5s);
  EXPECT_TRUE(core.entitled(at(kUsable - 1ms)));
  EXPECT_FALSE(core.entitled(at(kUsable)));
}

TEST_F(ClientCoreTest, RenewsAtAThirdAndCountsFromTheRenewalThatWasAcknowledged) {
  open();
  take(core.tick(at(kTtl / 3)));
  ASSERT_EQ(sent.size(), 1u);
  const auto first = std::get<Renew>(sent[0]);
  take(core.tick(at(2 * kTtl / 3)));
  say(Renewed{first.tick}, 2 * kTtl / 3);
  EXPECT_TRUE(core.entitled(at(kTtl / 3 + kUsable - 1ms)));
  EXPECT_FALSE(core.entitled(at(kTtl / 3 + kUsable + 1ms)));
}

TEST_F(ClientCoreTest, AnAcknowledgementNobodyAskedForExtendsNothing) {
  open();
  say(Renewed{99}, 9s);
  EXPECT_FALSE(core.entitled(at(kUsable)));
}

TEST_F(ClientCoreTest, SuspendsAtTheDeadlineAndResumesWhenAcknowledged) {
  open();
  core.disconnected();
  take(core.tick(at(kUsable)));
  EXPECT_EQ(core.state(), ClientCore::State::kSuspended);
  EXPECT_EQ(count<LeaseSuspended>(), 1);
  open(1, 20s, 20s);
  EXPECT_EQ(core.state(), ClientCore::State::kActive);
  EXPECT_EQ(count<LeaseResumed>(), 1);
  EXPECT_EQ(count<SessionLost>(), 0);
  EXPECT_TRUE(core.entitled(at(20s)));
}

TEST_F(ClientCoreTest, AWelcomeThatComesTooLateDoesNotEntitle) {
  open(1, 0ms, 30s);
  EXPECT_EQ(core.state(), ClientCore::State::kSuspended);
  EXPECT_FALSE(core.entitled(at(30s)));
}

// lockd stood still with our Hello in its hands.
TEST_F(ClientCoreTest, AWelcomeWhoseLeaseIsNearlyOverResumesNothingTheRenewalAfterItDoes) {
  open();
  core.disconnected();
  take(core.tick(at(kUsable)));
  take(core.connected(at(20s)));
  sent.clear();
  const auto late = 20s + kUsable - 50ms;
  say(welcome_of(1), late);
  EXPECT_EQ(core.state(), ClientCore::State::kSuspended);
  EXPECT_EQ(count<LeaseResumed>(), 0) << "it would be suspended again 50 ms later";
  ASSERT_EQ(sent.size(), 1u) << "and renews at once";
  const auto tick = std::get<Renew>(sent[0]).tick;
  take(core.tick(at(late + 100ms)));
  EXPECT_EQ(count<LeaseSuspended>(), 1) << "the first one, and no other";
  say(Renewed{tick}, late + 200ms);
  EXPECT_EQ(core.state(), ClientCore::State::kActive);
  EXPECT_EQ(count<LeaseResumed>(), 1);
  EXPECT_EQ(core.deadline(), at(late + kUsable)) << "counted from the renewal's sending";
}

TEST_F(ClientCoreTest, AWelcomeWhoseLeaseIsOverIsRenewedAtOnce) {
  open();
  core.disconnected();
  take(core.tick(at(kUsable)));
  take(core.connected(at(20s)));
  sent.clear();
  say(welcome_of(1), 60s);
  ASSERT_EQ(sent.size(), 1u);
  say(Renewed{std::get<Renew>(sent[0]).tick}, 61s);
  EXPECT_TRUE(core.entitled(at(61s)));
}

// Suspended for most of the time is better than for ever.
TEST_F(ClientCoreTest, OnASlowNetworkAnyRestOfARenewalResumes) {
  open();
  core.disconnected();
  take(core.tick(at(kUsable)));
  take(core.connected(at(20s)));
  say(welcome_of(1), 29s);
  const auto tick = std::get<Renew>(sent.back()).tick;
  say(Renewed{tick}, 29s + kUsable - 100ms);
  EXPECT_EQ(core.state(), ClientCore::State::kActive);
}

TEST_F(ClientCoreTest, UnansweredRequestsAreSentAgainInOrderWithTheirNumbers) {
  open();
  call(lock(1, LockMode::kShared));
  call(lock(2, LockMode::kShared));
  call(lock(3, LockMode::kShared));
  reply(2, Granted{{1}});
  requests();
  core.disconnected();
  call(lock(4, LockMode::kShared));
  EXPECT_TRUE(requests().empty());
  take(core.connected(at(1s)));
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_EQ(std::get<Hello>(sent[0]).resume->session, SessionId{1});
  say(welcome_of(1), 1s);
  const auto again = requests();
  ASSERT_EQ(again.size(), 3u);
  EXPECT_EQ(again[0].number, RequestNumber{1});
  EXPECT_EQ(again[1].number, RequestNumber{3});
  EXPECT_EQ(again[2].number, RequestNumber{4});
  EXPECT_EQ(again[2].acknowledged, RequestNumber{0}) << "1 is not answered";
}

TEST_F(ClientCoreTest, AReplyThatComesTwiceCompletesOnce) {
  open();
  const CallId id = call(lock(1, LockMode::kShared));
  reply(1, Granted{{1}});
  reply(1, Granted{{1}});
  EXPECT_EQ(completed.size(), 1u);
  EXPECT_TRUE(outcome_of(id));
  call(lock(1, LockMode::kShared));
  EXPECT_EQ(requests().back().acknowledged, RequestNumber{1});
}

TEST_F(ClientCoreTest, LossEndsEveryCallAfterTheListenerRan) {
  open();
  hold(lock(9, LockMode::kShared));
  const CallId waiting = call(lock(1, LockMode::kShared));
  core.disconnected();
  const CallId unsent = call(lock(2, LockMode::kShared));
  take(core.connected(at(1s)));
  const auto effects = core.received(
      HelloRefused{.errc = LockErrc::kSessionLost, .retry_after = {}, .reason = {}}, at(1s));
  ASSERT_FALSE(effects.empty());
  EXPECT_TRUE(std::holds_alternative<SessionLost>(effects.front()));
  take(effects);
  EXPECT_EQ(error_of(waiting), LockErrc::kSessionLost);
  EXPECT_EQ(error_of(unsent), LockErrc::kSessionLost);
  EXPECT_EQ(core.state(), ClientCore::State::kLost);
  EXPECT_FALSE(core.entitled(at(1s)));
  sent.clear();
  take(core.connected(at(2s)));
  EXPECT_FALSE(std::get<Hello>(sent[0]).resume) << "a new session is asked for";
}

TEST_F(ClientCoreTest, AnotherSessionThanOursMeansOursIsLost) {
  open(1);
  hold(lock(9, LockMode::kShared));
  const CallId id = call(lock(1, LockMode::kShared));
  core.disconnected();
  open(2, 1s, 1s);
  EXPECT_EQ(error_of(id), LockErrc::kSessionLost);
  EXPECT_EQ(count<SessionLost>(), 1);
  EXPECT_EQ(core.state(), ClientCore::State::kActive);
  call(lock(1, LockMode::kShared));
  EXPECT_EQ(requests().back().number, RequestNumber{1}) << "numbers belong to the session";
}

TEST_F(ClientCoreTest, SessionEndedIsLoss) {
  open();
  hold(lock(9, LockMode::kShared));
  say(SessionEnded{});
  EXPECT_EQ(count<SessionLost>(), 1);
  EXPECT_EQ(count<DropConnection>(), 1);
}

TEST_F(ClientCoreTest, WhileLockdStartsTheSessionIsNotGivenUp) {
  open();
  core.disconnected();
  take(core.connected(at(1s)));
  say(HelloRefused{.errc = LockErrc::kStarting, .retry_after = 700ms, .reason = {}}, 1s);
  EXPECT_EQ(count<SessionLost>(), 0);
  ASSERT_EQ(count<DropConnection>(), 1);
  EXPECT_EQ(std::get<DropConnection>(events.back()).delay, Duration(700ms));
  EXPECT_TRUE(core.entitled(at(1s))) << "the lease lockd gave still runs";
}

TEST_F(ClientCoreTest, ASilentConnectionIsDroppedBeforeTheDeadline) {
  open();
  take(core.tick(at(kTtl / 3)));
  take(core.tick(at(kTtl / 3 + kTtl / 2)));
  ASSERT_EQ(count<DropConnection>(), 1);
  EXPECT_EQ(std::get<DropConnection>(events.back()).why, DropConnection::Why::kSilent);
  EXPECT_TRUE(core.entitled(at(kTtl / 3 + kTtl / 2)));
}

TEST_F(ClientCoreTest, MessagesOutOfPlaceDropTheConnection) {
  open();
  say(welcome_of(1));
  ASSERT_EQ(count<DropConnection>(), 1);
  EXPECT_EQ(std::get<DropConnection>(events.back()).why, DropConnection::Why::kProtocol);
}

TEST_F(ClientCoreTest, ALeaseShorterThanItsMarginIsRefused) {
  take(core.connected(at(0ms)));
  Welcome welcome = welcome_of(1);
  welcome.lease_ttl = 200ms;
  say(welcome);
  EXPECT_EQ(count<DropConnection>(), 1);
  EXPECT_FALSE(core.entitled(at(0ms)));
}

TEST_F(ClientCoreTest, ALongWaitDoesNotStopTheSession) {
  open();  // 64 in flight: the window is 32
  const CallId waiting = call(lock(1, LockMode::kExclusive));
  std::uint64_t number = 1;
  for (int i = 0; i < 31; ++i) {
    call(lock(2, LockMode::kShared, 100, 200));
    reply(++number, Granted{{number}});
  }
  requests();
  const CallId stuck = call(lock(2, LockMode::kShared, 100, 200));
  const auto cancel = requests();
  ASSERT_EQ(cancel.size(), 1u);
  EXPECT_EQ(std::get<CancelRequest>(cancel[0].command).target, RequestNumber{1});
  reply(1, Refused{LockErrc::kInterrupted});
  reply(33, Done{});
  const auto again = requests();
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(std::get<LockRequest>(again[0].command).owner, OwnerId{1});
  EXPECT_EQ(again[0].acknowledged, RequestNumber{32});
  EXPECT_FALSE(outcome_of(waiting)) << "the caller noticed nothing";
  reply(again[0].number.value, Granted{{40}});
  reply(again[1].number.value, Granted{{41}});
  EXPECT_TRUE(outcome_of(waiting));
  EXPECT_TRUE(outcome_of(stuck));
}

TEST_F(ClientCoreTest, GoodbyeEndsCallsAndSaysSo) {
  open();
  const CallId id = call(lock(1, LockMode::kShared));
  requests();
  take(core.goodbye());
  ASSERT_EQ(sent.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Goodbye>(sent[0]));
  EXPECT_EQ(error_of(id), LockErrc::kSessionLost);
  EXPECT_EQ(count<SessionLost>(), 0);
}

TEST(ClientCoreLimits, WhatGivesBackIsNeverRefused) {
  ClientCore core{Hello{}, ClientCore::Limits{.unsent_max = 1}};
  ClientEffects effects;
  static_cast<void>(core.submit(LockRequest{}, effects));
  EXPECT_TRUE(effects.empty()) << "kept until there is a connection";
  static_cast<void>(core.submit(UnlockRequest{}, effects));
  static_cast<void>(core.submit(ReleaseOwnerRequest{}, effects));
  static_cast<void>(core.submit(ReleaseHandleRequest{}, effects));
  EXPECT_TRUE(effects.empty());
  const CallId refused = core.submit(LockRequest{}, effects);
  ASSERT_EQ(effects.size(), 2u);
  EXPECT_TRUE(std::holds_alternative<LimitRefusal>(effects[0]));
  const auto& completed = std::get<CompleteCall>(effects[1]);
  EXPECT_EQ(completed.call, refused);
  EXPECT_EQ(std::get<Refused>(completed.outcome).errc, LockErrc::kTooManyRequests);
  EXPECT_EQ(core.open_calls(), 4u);
}

}  // namespace
}  // namespace holdfast::fs
