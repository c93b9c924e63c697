// What a mount tells of its programs' locks.
#include "tests/unit/wire/client_core_fixture.h"

namespace holdfast::fs {
namespace {

using ClientWho = ClientCoreTest;

TEST_F(ClientWho, TellsWhatItsProgramsHaveAndWaitFor) {
  open();
  LockRequest held = lock(1, LockMode::kExclusive);
  held.pid = 42;
  hold(held);
  LockRequest wanted = lock(2, LockMode::kShared);
  wanted.pid = 43;
  call(wanted);
  call(on(9, lock(3, LockMode::kShared)));
  events.clear();
  say(TellWho{.question = 5, .fileid = kFile.fileid}, milliseconds{1'500});
  ASSERT_EQ(events.size(), 1U);
  const auto* told = std::get_if<TellOfOurs>(&events[0]);
  ASSERT_NE(told, nullptr);
  EXPECT_EQ(told->told.question, 5U);
  ASSERT_EQ(told->told.locks.size(), 2U);
  const ToldLock& first = told->told.locks[0];
  EXPECT_EQ(first.state, ToldState::kHeld);
  EXPECT_EQ(first.pid, 42U);
  EXPECT_EQ(first.age, milliseconds{1'500});
  EXPECT_FALSE(first.here) << "lockd has decided";
  EXPECT_EQ(told->told.locks[1].state, ToldState::kWaiting);
  EXPECT_EQ(told->told.locks[1].pid, 43U);
}

TEST_F(ClientWho, SinceIsWhenItsOwnerCameToTheFile) {
  open();
  say(Renewed{}, milliseconds{1'000});
  hold(lock(1, LockMode::kShared, 0, 10));
  say(Renewed{}, milliseconds{3'000});
  hold(lock(1, LockMode::kExclusive, 20, 30));
  say(Renewed{}, milliseconds{4'000});
  for (const ToldLock& one : core.told_of(kFile.fileid, 10))
    EXPECT_EQ(one.age, milliseconds{3'000});
  unlock(1, 0, 40);
  reply(3, Done{});
  EXPECT_TRUE(core.told_of(kFile.fileid, 10).empty());
  EXPECT_EQ(core.locks(), 0U);
}

TEST_F(ClientWho, AsksOnlyALockdThatAnswers) {
  EXPECT_FALSE(core.can_ask_who());
  open();
  EXPECT_FALSE(core.can_ask_who()) << "an older lockd would end the connection";
  take(core.ask_who({1, 2}));
  EXPECT_TRUE(sent.empty());
  core.disconnected();
  take(core.connected(at(milliseconds{0})));
  Welcome welcome = welcome_of(1);
  welcome.answers_who = true;
  say(welcome);
  sent.clear();
  take(core.ask_who({1, 2}));
  ASSERT_EQ(sent.size(), 1U);
  EXPECT_TRUE(std::holds_alternative<AskWho>(sent[0]));
  WhoAnswer answer;
  answer.question = 1;
  say(answer);
  EXPECT_EQ(count<WhoAnswered>(), 1);
}

}  // namespace
}  // namespace holdfast::fs
