// A token is given up in rounds, and no round waits for a page that somebody holds who waits for
// the next token (T10).
#include "fs/token/agent.h"

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

constexpr FileKey kFile{7, 0};
constexpr RequestNumber kToken{3};
const Instant kNow{std::chrono::seconds(1)};

class TokenRounds : public ::testing::Test {
 protected:
  void hold(TokenMode mode) {
    agent_.want(kFile, TokenUse::kRead);
    agent_.asked(kFile);
    agent_.numbered(kFile, kToken);
    TokenGranted grant;
    grant.mode = mode;
    ASSERT_TRUE(agent_.granted(kFile, kToken, grant, kNow));
  }
  void recall(TokenMode wanted) {
    Recall recall;
    recall.file = kFile;
    recall.token = kToken;
    recall.wanted = wanted;
    agent_.recalled(recall, effects_);
  }
  /// The last one said.
  [[nodiscard]] std::optional<Drain> round() const {
    std::optional<Drain> last;
    for (const auto& effect : effects_)
      if (const auto* drain = std::get_if<Drain>(&effect)) last = *drain;
    return last;
  }
  bool comes_in(TokenUse use) {
    return agent_.try_pin(kFile, use, Urgency::kKernelWaits, kNow).has_value();
  }
  void leaves() { agent_.unpin(kFile, effects_); }
  void drain(const Drain& drain) { agent_.drained(kFile, drain.round, true, effects_); }
  [[nodiscard]] bool ready() const { return agent_.ready().contains(kFile); }

  TokenAgent agent_{TokenLimits{}};
  TokenEffects effects_;
};

TEST_F(TokenRounds, WhoComesInWhilePagesAreAwaitedIsAdmittedAndMakesAnotherRound) {
  hold(TokenMode::kExclusive);
  recall(TokenMode::kExclusive);
  const auto first = round();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->pages, DropPages::kEnded);
  ASSERT_TRUE(comes_in(TokenUse::kWrite)) << "the round waits for its page";
  leaves();
  drain(*first);
  EXPECT_FALSE(ready());
  EXPECT_GT(round()->round, first->round);
  drain(*round());
  EXPECT_TRUE(ready());
}

TEST_F(TokenRounds, TheLastRoundAdmitsNobodyAndWaitsForNoPage) {
  hold(TokenMode::kExclusive);
  recall(TokenMode::kExclusive);
  for (unsigned i = 1; round()->pages == DropPages::kEnded; ++i) {
    ASSERT_LE(i, kDrainRoundsMax);
    ASSERT_TRUE(comes_in(TokenUse::kWrite)) << "round " << i;
    leaves();
    drain(*round());
  }
  EXPECT_FALSE(comes_in(TokenUse::kRead));
  EXPECT_TRUE(agent_.try_pin(kFile, TokenUse::kWrite, Urgency::kWithin, kNow))
      << "what giving up has to write";
  leaves();
  drain(*round());
  EXPECT_TRUE(ready());
}

TEST_F(TokenRounds, ThoughReadMayBeKeptEverythingGoesBeforeTheLastRound) {
  hold(TokenMode::kExclusive);
  recall(TokenMode::kRead);
  const auto before = agent_.generation(kFile);
  EXPECT_NE(before, 0U);
  TokenMode kept_before_last = TokenMode::kRead;
  while (round()->pages == DropPages::kEnded) {
    kept_before_last = round()->keep;
    ASSERT_TRUE(comes_in(TokenUse::kRead));
    leaves();
    drain(*round());
  }
  EXPECT_EQ(kept_before_last, TokenMode::kNone);
  EXPECT_EQ(agent_.generation(kFile), 0U);
  drain(*round());
  ASSERT_TRUE(ready());
  EXPECT_EQ(agent_.keep(kFile, {}, effects_), TokenMode::kRead);
  agent_.released(kFile, TokenMode::kRead, kNow);
  EXPECT_NE(agent_.generation(kFile), before) << "what was kept is gone";
}

// Under the pin that it has already somebody else may wait for it.
TEST_F(TokenRounds, WhoHasPinnedWhatIsLostIsRefusedAndDoesNotWait) {
  hold(TokenMode::kExclusive);
  ASSERT_TRUE(comes_in(TokenUse::kWrite));
  static_cast<void>(agent_.lost(kFile));
  agent_.acquire(CallId{1}, kFile, TokenUse::kWrite, Urgency::kWithin);
  agent_.admit(kNow, effects_);
  ASSERT_FALSE(effects_.empty());
  const auto* refused = std::get_if<TokenRefused>(&effects_.back());
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->call, CallId{1});
  EXPECT_EQ(agent_.waiting(), 0U);
  leaves();
}

// It has its page locked, and read is not enough.
TEST_F(TokenRounds, AWriteThatWaitsUnderReadIsNotWaitedFor) {
  hold(TokenMode::kRead);
  EXPECT_FALSE(comes_in(TokenUse::kWrite));
  agent_.acquire(CallId{1}, kFile, TokenUse::kWrite, Urgency::kKernelWaits);
  recall(TokenMode::kExclusive);
  EXPECT_EQ(round()->pages, DropPages::kBegun);
  drain(*round());
  EXPECT_TRUE(ready());
}

TEST_F(TokenRounds, NorOneThatComesWhenTheRoundHasBegun) {
  hold(TokenMode::kRead);
  recall(TokenMode::kExclusive);
  const auto first = round();
  ASSERT_EQ(first->pages, DropPages::kEnded);
  agent_.acquire(CallId{1}, kFile, TokenUse::kWrite, Urgency::kKernelWaits);
  agent_.admit(kNow, effects_);
  ASSERT_GT(round()->round, first->round);
  EXPECT_EQ(round()->pages, DropPages::kBegun);
  drain(*first);
  EXPECT_FALSE(ready()) << "of the past";
  drain(*round());
  EXPECT_TRUE(ready());
}

}  // namespace
}  // namespace holdfast::fs
