// Each limit of the coordinator: who meets it is refused, and told which one it was.
#include "lockd/limit_option.h"
#include "tests/support/lock/limit_scenes.h"
#include "tests/unit/lockd/driver.h"

#include <gtest/gtest.h>

namespace holdfast::lockd::test {
namespace {

using support::LimitScene;
using support::LimitStep;

/// What the last step of the scene was told.
struct Told {
  LockErrc errc = LockErrc::kBadRequest;
  std::optional<LimitMet> limit;
  std::string reason;
};

class Play {
 public:
  explicit Play(const LimitScene& scene) : d(options_of(scene)) {}

  /// Nothing: it was not refused.
  std::optional<Told> step(const LimitStep& step, std::uint8_t volume = 1) {
    const SessionId session{step.session + 1};
    if (opened_.insert(session).second) {
      const auto effects = d.core.hello(Driver::hello_of(volume), {session, {}, {}},
                                        ConnectionId{session.value}, d.now());
      d.absorb(effects);
      const auto answer = greeting(effects);
      if (const auto* refused = std::get_if<HelloRefused>(&answer))
        return Told{refused->errc, refused->limit, refused->reason};
    }
    if (!step.command) return std::nullopt;
    const auto outcome = d.ask(session, *step.command);
    EXPECT_EQ(!outcome, step.then == LimitStep::kWaits && !is_refused(outcome));
    if (!is_refused(outcome)) return std::nullopt;
    const auto& refused = std::get<Refused>(*outcome);
    return Told{refused.errc, refused.limit, {}};
  }

  Driver d;

 private:
  static Options options_of(const LimitScene& scene) {
    Options options = plain_options();
    options.limits = scene.limits;
    return options;
  }
  static bool is_refused(const std::optional<Outcome>& outcome) {
    return outcome && std::holds_alternative<Refused>(*outcome);
  }
  std::set<SessionId> opened_;
};

TEST(Limits, EachIsMetRefusedCountedAndNamed) {
  std::set<Limit> met;
  for (const LimitScene& scene : support::limit_scenes()) {
    SCOPED_TRACE(std::string(name_of(scene.limit)));
    met.insert(scene.limit);
    Play play(scene);
    for (std::size_t i = 0; i + 1 < scene.steps.size(); ++i)
      ASSERT_FALSE(play.step(scene.steps[i])) << "step " << i;
    const auto told = play.step(scene.steps.back());
    ASSERT_TRUE(told);
    EXPECT_EQ(told->errc, errc_of(scene.limit));
    ASSERT_TRUE(told->limit);
    EXPECT_EQ(told->limit->limit, scene.limit);
    EXPECT_EQ(told->limit->max, value_of(scene.limit, scene.limits));
    const LimitHits& hits = play.d.core.probe().limit_hits;
    EXPECT_EQ(hits.of(scene.limit).count, 1U);
    EXPECT_EQ(hits.total(), 1U) << "and no other";
  }
  EXPECT_EQ(met.size(), kLimits) << "a limit without a scene";
}

// Mounts of before that read no limits have the text.
TEST(Limits, AHelloIsToldInWordsToo) {
  const LimitScene scene = support::limit_scenes().at(1);
  Play play(scene);
  ASSERT_FALSE(play.step(scene.steps[0]));
  const auto told = play.step(scene.steps[1]);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->reason,
            "this volume has as many sessions as it may (limit sessions_of_volume, 1)");
}

// Whoever has a credential of one volume must not use up what the others need.
TEST(Limits, WhatOneVolumeHasFilledIsFreeForAnotherAndFreeAgain) {
  for (const LimitScene& scene : support::limit_scenes()) {
    const bool of_volume = scene.limit == Limit::kFilesOfVolume ||
                           scene.limit == Limit::kTokensOfVolume ||
                           scene.limit == Limit::kSessionsOfVolume;
    if (!of_volume) continue;
    SCOPED_TRACE(std::string(name_of(scene.limit)));
    Play play(scene);
    ASSERT_FALSE(play.step(scene.steps[0]));
    ASSERT_TRUE(play.step(scene.steps[1]));
    LimitStep other = scene.steps[1];
    other.session = 2;
    EXPECT_FALSE(play.step(other, 2)) << "of another volume";
    play.d.goodbye(SessionId{1});
    other.session = 3;
    EXPECT_FALSE(play.step(other)) << "there is room again";
  }
}

TEST(Limits, LocksThatAMountHasDecidedCountWithTheirFile) {
  Options options = plain_options();
  options.limits.files_per_volume_max = 1;
  Driver d(options);
  const SessionId one = d.open();
  ASSERT_TRUE(granted(d.ask(one, lock(kA, kX, byte(0)))));
  const auto token = d.send(one, TokenRequest{.file = kOther, .use = TokenUse::kWrite});
  HeldLock held;
  held.file = kOther;
  held.owner = kA;
  held.handle = HandleId{1};
  held.mode = kX;
  held.range = byte(0);
  const auto pushed = d.ask(one, PushLocks{.file = kOther, .token = token, .locks = {held}});
  ASSERT_TRUE(refused(pushed, LockErrc::kTooManyFiles));
  const auto& limit = std::get<Refused>(*pushed).limit;
  ASSERT_TRUE(limit);
  EXPECT_EQ(limit->limit, Limit::kFilesOfVolume);
}

// ---- Their names and values

TEST(LimitOption, EachLimitIsSetByItsNameOrSaysWhichOneSetsIt) {
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    const std::string name(name_of(limit));
    SCOPED_TRACE(name);
    EXPECT_EQ(limit_named(name), limit);
    Limits limits;
    const std::string wrong = take_limits({name + "=123"}, limits);
    if (set_by(limit) == limit) {
      EXPECT_EQ(wrong, "");
      EXPECT_EQ(value_of(limit, limits), 123U);
    } else {
      EXPECT_EQ(wrong,
                "--limit " + name + "=123: it is a share of requests_of_session, which can be set");
      EXPECT_EQ(value_of(limit, limits), value_of(limit, Limits{}));
    }
  }
}

TEST(LimitOption, WhatIsNoLimitIsRefusedWithWords) {
  for (const char* text : {"files", "files=", "files=0", "files=-1", "files=1x", "files=1000000001",
                           "file=5", "=5", "", "requests_of_session=63"}) {
    Limits limits;
    const std::string wrong = take_limits({text}, limits);
    EXPECT_TRUE(wrong.starts_with(std::string("--limit ") + text + ": ")) << wrong;
    for (std::size_t i = 0; i < kLimits; ++i)
      EXPECT_EQ(value_of(static_cast<Limit>(i), limits), value_of(static_cast<Limit>(i), Limits{}));
  }
}

TEST(LimitOption, WithAnAccessListNoVolumeHasMoreThanAQuarterUnlessItIsSaid) {
  Limits limits;
  share_among_volumes(limits);
  EXPECT_LE(limits.sessions_per_volume_max, limits.sessions_max / 4);
  EXPECT_LE(limits.files_per_volume_max, limits.files_max / 4);
  EXPECT_LE(limits.tokens_per_volume_max, limits.tokens_max / 4);
  EXPECT_EQ(take_limits({"files_of_volume=900000"}, limits), "");
  EXPECT_EQ(limits.files_per_volume_max, 900'000U);
}

}  // namespace
}  // namespace holdfast::lockd::test
