// Questions that wait for what mounts say.
#include "lockd/server/questions.h"

#include <gtest/gtest.h>

namespace holdfast::lockd {
namespace {

using namespace std::chrono_literals;

constexpr ConnectionId kAsker{9};
constexpr Instant kUntil{1s};

WhoAnswer answer_of_two() {
  WhoAnswer answer;
  answer.mounts.resize(2);
  answer.mounts[0].session.session = {1};
  answer.mounts[1].session.session = {2};
  return answer;
}

TEST(Questions, AreAnsweredWhenAllHaveTold) {
  Questions questions;
  const auto number = questions.begin(kAsker, answer_of_two(), {{1}, {2}}, kUntil);
  EXPECT_TRUE(questions.told({1}, {.question = number, .locks = {{}}}).empty());
  EXPECT_TRUE(questions.told({3}, {.question = number, .locks = {}}).empty()) << "nobody asked it";
  EXPECT_TRUE(questions.told({2}, {.question = number + 1, .locks = {}}).empty())
      << "another question";
  EXPECT_TRUE(questions.told({2}, {.question = number, .locks = {{}}, .more = true}).empty());
  const auto done = questions.told({2}, {.question = number, .locks = {{}}});
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].asker, kAsker);
  EXPECT_TRUE(done[0].answer.mounts[0].told && done[0].answer.mounts[1].told);
  EXPECT_EQ(done[0].answer.mounts[1].locks.size(), 2U) << "in two messages";
  EXPECT_TRUE(questions.due(kUntil).empty()) << "once";
}

TEST(Questions, DoNotWaitForThoseWhoAreGoneOrTooSlow) {
  Questions questions;
  static_cast<void>(questions.begin(kAsker, answer_of_two(), {{1}, {2}}, kUntil));
  EXPECT_TRUE(questions.gone({1}).empty());
  EXPECT_TRUE(questions.due(kUntil - 1ms).empty());
  const auto done = questions.due(kUntil);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_FALSE(done[0].answer.mounts[0].told || done[0].answer.mounts[1].told);
}

TEST(Questions, OfWhoHungUpAreForgotten) {
  Questions questions;
  static_cast<void>(questions.begin(kAsker, answer_of_two(), {{1}}, kUntil));
  questions.forget(kAsker);
  EXPECT_TRUE(questions.due(kUntil).empty());
}

TEST(Questions, OneThatTellsWithoutEndFillsNoMemory) {
  Questions questions;
  const auto number = questions.begin(kAsker, answer_of_two(), {{1}}, kUntil);
  for (int i = 0; i < 1'000; ++i) {
    ToldWho told{.question = number, .locks = std::vector<ToldLock>(24), .more = true};
    EXPECT_TRUE(questions.told({1}, std::move(told)).empty());
  }
  const auto done = questions.due(kUntil);
  ASSERT_EQ(done.size(), 1U);
  EXPECT_EQ(done[0].answer.mounts[0].locks.size(), kWhoLocksMax);
  EXPECT_TRUE(done[0].answer.truncated);
}

}  // namespace
}  // namespace holdfast::lockd
