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

TEST_F(ClientWho, WaitsOfAllFilesTheLongestFirst) {
  open();
  const auto want = [&](std::uint64_t fileid, std::uint32_t pid, Wait wait) {
    LockRequest request = on(fileid, lock(pid, LockMode::kExclusive));
    request.pid = pid;
    request.wait = wait;
    call(request);
  };
  want(7, 41, Wait::kYes);
  say(Renewed{}, milliseconds{2'000});
  want(8, 42, Wait::kYes);
  want(9, 43, Wait::kNo);
  say(Renewed{}, milliseconds{3'000});
  const auto waits = core.waits(10);
  ASSERT_EQ(waits.size(), 2U) << "who tries only does not wait";
  EXPECT_EQ(waits[0].pid, 41U);
  EXPECT_EQ(waits[0].file.fileid, 7U);
  EXPECT_EQ(waits[0].age, milliseconds{3'000});
  EXPECT_EQ(waits[1].age, milliseconds{1'000});
  EXPECT_EQ(core.waits(1).size(), 1U);
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
