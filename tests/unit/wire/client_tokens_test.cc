// What a mount's core does about tokens with calls that wait for them.
#include "fs/lock/client_core.h"

#include <optional>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

constexpr FileKey kOne{1, 1};
constexpr FileKey kOther{2, 2};
constexpr Instant kNow{std::chrono::seconds(1)};

class ClientTokens : public ::testing::Test {
 protected:
  void SetUp() override {
    take(core_.connected(kNow));
    Welcome welcome;
    welcome.session = {1};
    welcome.epoch = {1};
    welcome.lease_ttl = std::chrono::seconds(10);
    welcome.requests_in_flight_max = 64;
    take(core_.received(ServerMessage(welcome), kNow));
  }
  void take(ClientEffects effects) {
    for (auto& effect : effects)
      said_.push_back(std::move(effect));
  }
  template <class Effect>
  [[nodiscard]] std::optional<Effect> last() const {
    std::optional<Effect> found;
    for (const auto& effect : said_)
      if (const auto* one = std::get_if<Effect>(&effect)) found = *one;
    return found;
  }
  /// An operation on what is held.
  void use(const FileKey& file) {
    ClientEffects effects;
    ASSERT_TRUE(core_.try_pin(file, TokenUse::kWrite, Urgency::kKernelWaits, now_, effects));
    take(std::move(effects));
    take(core_.unpin(file, now_));
  }
  /// Everything that is to be given up turns out to be in use; returns how many that were.
  int drain_in_vain(Instant now) {
    int drains = 0;
    constexpr int kEnough = 100;  // each answer may lead to the next one
    for (auto said = std::exchange(said_, {}); !said.empty() && drains < kEnough;
         said = std::exchange(said_, {})) {
      for (const auto& effect : said) {
        const auto* drain = std::get_if<Drain>(&effect);
        if (drain == nullptr) continue;
        ++drains;
        take(core_.drained(drain->file, drain->round, true, now));
      }
    }
    return drains;
  }
  /// Time passes, and lockd renews the lease. What is to be given up is in use; returns how many.
  int pass(Duration time) {
    int drains = 0;
    for (const Instant until = now_ + time; now_ < until;) {
      now_ += std::chrono::seconds(1);
      take(core_.tick(now_));
      const std::vector<ClientEffect> said = said_;
      drains += drain_in_vain(now_);
      for (const auto& effect : said) {
        const auto* sent = std::get_if<SendMessage>(&effect);
        const auto* renew = sent == nullptr ? nullptr : std::get_if<Renew>(&sent->message);
        if (renew != nullptr) take(core_.received(ServerMessage(Renewed{renew->tick}), now_));
      }
    }
    return drains;
  }
  /// Asked for, granted, used, and idle again.
  void hold(const FileKey& file, TokenMode mode = TokenMode::kExclusive) {
    const TokenUse use = mode == TokenMode::kExclusive ? TokenUse::kWrite : TokenUse::kRead;
    ClientEffects effects;
    static_cast<void>(core_.acquire(file, use, Urgency::kMayWait, kNow, effects));
    take(std::move(effects));
    const auto asked = last<SendMessage>();
    ASSERT_TRUE(asked);
    const RequestNumber number = std::get<Request>(asked->message).number;
    TokenGranted grant;
    grant.mode = mode;
    take(core_.received(ServerMessage(Reply{number, grant}), kNow));
    take(core_.unpin(file, kNow));
  }

  static LockRequest lock(std::uint64_t owner, LockMode mode, Wait wait = Wait::kNo) {
    LockRequest request;
    request.file = kOne;
    request.owner = {owner};
    request.handle = {owner};
    request.mode = mode;
    request.range = *ByteRange::make(0, 10);
    request.wait = wait;
    return request;
  }
  static UnlockRequest unlock(std::uint64_t owner) {
    return {kOne, LockSpace::kRange, {owner}, *ByteRange::make(0, 10)};
  }
  std::optional<Outcome> now(const Command& command, Instant when = kNow) {
    ClientEffects effects;
    auto decided = core_.decide_now(command, when, effects);
    take(std::move(effects));
    return decided;
  }
  static bool is_granted(const std::optional<Outcome>& decided) {
    return decided && std::holds_alternative<Granted>(*decided);
  }

  /// Of the whole file, as flock(2).
  CallId flock(std::uint64_t owner, LockMode mode, Wait wait = Wait::kYes) {
    LockRequest request = lock(owner, mode, wait);
    request.space = LockSpace::kFlock;
    request.range = ByteRange::whole_file();
    ClientEffects effects;
    const CallId call = core_.submit(request, kNow, effects);
    take(std::move(effects));
    return call;
  }
  [[nodiscard]] std::optional<Outcome> outcome(CallId call) const {
    for (const auto& effect : said_) {
      const auto* one = std::get_if<CompleteCall>(&effect);
      if (one != nullptr && one->call == call) return one->outcome;
    }
    return std::nullopt;
  }
  [[nodiscard]] bool granted(CallId call) const { return is_granted(outcome(call)); }
  [[nodiscard]] bool interrupted(CallId call) const {
    const auto answer = outcome(call);
    const auto* refused = answer ? std::get_if<Refused>(&*answer) : nullptr;
    return refused != nullptr && refused->errc == LockErrc::kInterrupted;
  }

  ClientCore core_{Hello{}, ClientCore::Limits{.tokens = TokenLimits{.tokens_max = 2}}};
  std::vector<ClientEffect> said_;
  Instant now_ = kNow;
};

TEST_F(ClientTokens, WhatStaysAfterAllLetsInAtOnceWhoWaitedForTheNextToken) {
  hold(kOne);
  hold(kOther);
  const auto goes = last<Drain>();
  ASSERT_TRUE(goes) << "there are too many";
  said_.clear();
  ClientEffects effects;
  const CallId call = core_.acquire(goes->file, TokenUse::kRead, Urgency::kMayWait, kNow, effects);
  take(std::move(effects));
  ASSERT_FALSE(last<TokenPinned>());
  take(core_.drained(goes->file, goes->round, true, kNow));
  const auto pinned = last<TokenPinned>();
  ASSERT_TRUE(pinned);
  EXPECT_EQ(pinned->call, call);
}

TEST_F(ClientTokens, MoreInUseThanThereMayBeAreNotDrainedWithEachOperation) {
  hold(kOne);
  hold(kOther);
  for (int i = 0; i < 2; ++i) {  // until each of them has been found out
    drain_in_vain(kNow);
    use(kOne);
    use(kOther);
  }
  for (int i = 0; i < 100; ++i) {
    use(kOne);
    use(kOther);
    EXPECT_EQ(drain_in_vain(kNow), 0) << "operation " << i;
  }
}

TEST_F(ClientTokens, WhatWasInUseIsTriedAgainLater) {
  hold(kOne);
  hold(kOther);
  for (int i = 0; i < 2; ++i) {
    drain_in_vain(kNow);
    use(kOne);
    use(kOther);
  }
  EXPECT_EQ(pass(kInUsePause / 2), 0);
  EXPECT_EQ(pass(kInUsePause), 2) << "each of them once";
}

TEST_F(ClientTokens, WhatTheKernelHasForgottenIsInUseNoMore) {
  hold(kOne);
  hold(kOther);
  ASSERT_GT(drain_in_vain(kNow), 0);
  use(kOne);
  use(kOther);
  drain_in_vain(kNow);
  take(core_.forgotten(kOne, kNow));
  use(kOther);
  const auto goes = last<Drain>();
  ASSERT_TRUE(goes);
  EXPECT_EQ(goes->file, kOne);
}

TEST_F(ClientTokens, UnderExclusiveLocksAreDecidedNow) {
  hold(kOne);
  EXPECT_TRUE(is_granted(now(lock(1, LockMode::kExclusive))));
  EXPECT_EQ(core_.locks(), 1u);
  const auto refused = now(lock(2, LockMode::kShared));
  ASSERT_TRUE(refused && std::holds_alternative<Refused>(*refused));
  EXPECT_EQ(std::get<Refused>(*refused).errc, LockErrc::kWouldBlock);
  const auto freed = now(unlock(1));
  ASSERT_TRUE(freed && std::holds_alternative<Done>(*freed));
  EXPECT_EQ(core_.locks(), 0u);
  EXPECT_TRUE(is_granted(now(lock(2, LockMode::kShared, Wait::kYes))));
}

TEST_F(ClientTokens, UnderReadOnlySharedLocksAreDecidedNow) {
  hold(kOne, TokenMode::kRead);
  EXPECT_TRUE(is_granted(now(lock(1, LockMode::kShared))));
  said_.clear();
  EXPECT_FALSE(now(lock(2, LockMode::kExclusive)));
  EXPECT_TRUE(said_.empty()) << "nothing has happened";
  EXPECT_EQ(core_.locks(), 1u);
}

TEST_F(ClientTokens, WithoutATokenNothingIsDecidedNow) {
  said_.clear();
  const std::size_t open = core_.open_calls();
  EXPECT_FALSE(now(lock(1, LockMode::kShared)));
  EXPECT_FALSE(now(unlock(1)));
  EXPECT_TRUE(said_.empty()) << "nothing has happened";
  EXPECT_EQ(core_.open_calls(), open);
}

TEST_F(ClientTokens, WhatMustWaitOrIsBehindSomebodyWhoDoesIsNotDecidedNow) {
  hold(kOne);
  ASSERT_TRUE(is_granted(now(lock(1, LockMode::kExclusive))));
  said_.clear();
  EXPECT_FALSE(now(lock(2, LockMode::kExclusive, Wait::kYes)));
  EXPECT_TRUE(said_.empty()) << "nothing has happened";
  ClientEffects effects;
  const CallId waits = core_.submit(lock(2, LockMode::kExclusive, Wait::kYes), kNow, effects);
  take(std::move(effects));
  ASSERT_FALSE(outcome(waits));
  LockRequest free_bytes = lock(3, LockMode::kExclusive);
  free_bytes.range = *ByteRange::make(100, 110);
  EXPECT_FALSE(now(free_bytes)) << "nobody overtakes";
  EXPECT_FALSE(now(unlock(1)));
  EXPECT_EQ(core_.locks(), 1u);
}

TEST_F(ClientTokens, AfterTheLeaseNothingIsDecidedNow) {
  hold(kOne);
  EXPECT_FALSE(now(lock(1, LockMode::kExclusive), kNow + std::chrono::seconds(10)));
  EXPECT_EQ(core_.locks(), 0u);
}

TEST_F(ClientTokens, AWalIndexIsLockedNowOnlyWhileItsDatabaseIsOursAlone) {
  hold(kOne);
  LockRequest request = lock(1, LockMode::kShared);
  request.wal_database = kOther;
  EXPECT_FALSE(now(request));
  hold(kOther, TokenMode::kRead);
  EXPECT_FALSE(now(request));
  EXPECT_EQ(core_.locks(), 0u);
}

TEST_F(ClientTokens, AWalIndexOfADatabaseThatIsOursAloneIsLockedNow) {
  hold(kOne);
  hold(kOther);
  LockRequest request = lock(1, LockMode::kShared);
  request.wal_database = kOther;
  EXPECT_TRUE(is_granted(now(request)));
  EXPECT_EQ(core_.locks(), 1u);
}

// flock(2), as Linux does it: the old lock goes before anything is waited for.
TEST_F(ClientTokens, AFlockThatIsInterruptedWhileItWaitsHereHasLostWhatItWasToConvert) {
  hold(kOne);
  ASSERT_TRUE(granted(flock(1, LockMode::kShared)) && granted(flock(2, LockMode::kShared)));
  const CallId converts = flock(1, LockMode::kExclusive);
  ASSERT_FALSE(outcome(converts)) << "it waits for the token to come down";
  take(core_.interrupt(converts));
  EXPECT_TRUE(interrupted(converts));
  EXPECT_EQ(core_.locks(), 1u);
  EXPECT_TRUE(granted(flock(2, LockMode::kExclusive, Wait::kNo)));
}

TEST_F(ClientTokens, WhatAnotherThreadAsksForAfterTheInterruptedConversionItGets) {
  hold(kOne);
  ASSERT_TRUE(granted(flock(1, LockMode::kShared)) && granted(flock(2, LockMode::kShared)));
  const CallId converts = flock(1, LockMode::kExclusive);
  const CallId later = flock(1, LockMode::kShared);
  take(core_.interrupt(converts));
  EXPECT_TRUE(interrupted(converts));
  EXPECT_TRUE(granted(later));
  EXPECT_EQ(core_.locks(), 2u);
}

TEST_F(ClientTokens, AnInterruptedFlockThatWasToConvertNothingLeavesTheLocksAsTheyAre) {
  hold(kOne);
  ASSERT_TRUE(granted(flock(1, LockMode::kShared)));
  const CallId waits = flock(2, LockMode::kExclusive);
  take(core_.interrupt(waits));
  EXPECT_TRUE(interrupted(waits));
  EXPECT_EQ(core_.locks(), 1u);
}

}  // namespace
}  // namespace holdfast::fs
