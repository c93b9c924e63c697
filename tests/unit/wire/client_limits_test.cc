// What a mount says of a refusal because of a limit: which one, what it costs, what to do.
#include "tests/unit/wire/client_core_fixture.h"

namespace holdfast::fs {
namespace {

using By = LimitRefusal::By;
using Cost = LimitRefusal::Cost;
using std::chrono::seconds;

constexpr LimitMet kRanges{.limit = Limit::kRangesOfSession, .max = 3};

Refused refused(Limit limit) {
  return {.errc = errc_of(limit), .limit = LimitMet{.limit = limit, .max = 3}};
}

class ClientLimits : public ClientCoreTest {
 protected:
  std::vector<LimitRefusal> told() const {
    std::vector<LimitRefusal> all;
    for (const auto& event : events)
      if (const auto* one = std::get_if<LimitRefusal>(&event)) all.push_back(*one);
    return all;
  }
};

TEST_F(ClientLimits, ALockThatIsNotGrantedForOneIsToldAndCompletedAsBefore) {
  open();
  const CallId call = this->call(lock(1, LockMode::kExclusive));
  reply(requests()[0].number.value, refused(Limit::kRangesOfSession));
  EXPECT_EQ(error_of(call), LockErrc::kTooManyRanges);
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].by, By::kLockd);
  EXPECT_EQ(told()[0].cost, Cost::kNotLocked);
  EXPECT_EQ(told()[0].met, kRanges);
}

TEST_F(ClientLimits, WhatIsRefusedForAnythingElseIsNot) {
  open();
  call(lock(1, LockMode::kExclusive));
  reply(requests()[0].number.value, Refused{LockErrc::kWouldBlock});
  EXPECT_TRUE(told().empty());
}

TEST_F(ClientLimits, AnOlderLockdNamesNoneAndTheErrorIsToldAllTheSame) {
  open();
  call(lock(1, LockMode::kExclusive));
  reply(requests()[0].number.value, Refused{LockErrc::kTooManyFiles});
  ASSERT_EQ(told().size(), 1u);
  EXPECT_FALSE(told()[0].met);
  EXPECT_EQ(told()[0].errc, LockErrc::kTooManyFiles);
  EXPECT_EQ(hint_for(told()[0]), "lockd's log says which limit it was (limit.refused)");
}

TEST_F(ClientLimits, AnUnlockThatWouldSplitStaysLocked) {
  open();
  hold(lock(1, LockMode::kExclusive));
  unlock(1, 3, 5);
  reply(requests()[0].number.value, refused(Limit::kRangesOfFile));
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].cost, Cost::kStaysLocked);
}

TEST_F(ClientLimits, WhoWasInterruptedIsNotToldForASecondReason) {
  open();
  const CallId call = this->call(lock(1, LockMode::kExclusive));
  const auto asked = requests();
  take(core.interrupt(call));
  reply(asked[0].number.value, refused(Limit::kRangesOfSession));
  EXPECT_EQ(error_of(call), LockErrc::kInterrupted);
  EXPECT_TRUE(told().empty());
}

TEST(ClientLimitsOfItsOwn, CallsThatCannotBeSentAreBoundedByTheMount) {
  ClientCore core{Hello{}, ClientCore::Limits{.unsent_max = 1}};
  ClientEffects effects;
  for (int i = 0; i < 2; ++i)
    static_cast<void>(core.submit(Command(LockRequest{}), effects));
  ASSERT_EQ(effects.size(), 2u);
  const auto& one = std::get<LimitRefusal>(effects[0]);
  EXPECT_EQ(one.by, By::kMount);
  EXPECT_EQ(one.met, (LimitMet{.limit = Limit::kRequestsOfSession, .max = 1}));
  EXPECT_NE(hint_for(one).find("does lockd answer?"), std::string::npos);
}

class ClientLimitsWithTokens : public ClientLimits {
 protected:
  ClientLimitsWithTokens() {
    core = ClientCore{Hello{}, ClientCore::Limits{.tokens = TokenLimits{}}};
    open();
  }
  /// The request for `file`'s token; others, as for the volume's, are passed over.
  RequestNumber asked_for(const FileKey& file) {
    RequestNumber number;
    for (const Request& request : requests()) {
      const auto* token = std::get_if<TokenRequest>(&request.command);
      if (token != nullptr && token->file == file) number = request.number;
    }
    EXPECT_NE(number, RequestNumber{});
    return number;
  }
};

TEST_F(ClientLimitsWithTokens, ATokenIsWaitedForAndThatIsSaid) {
  call(lock(1, LockMode::kExclusive));
  reply(asked_for(kFile).value, refused(Limit::kTokensOfVolume));
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].cost, Cost::kWaits);
  EXPECT_TRUE(completed.empty()) << "the program waits";
}

TEST_F(ClientLimitsWithTokens, LocksThatLockdCannotTakeOverAreLostAndThatIsSaidBefore) {
  call(lock(1, LockMode::kExclusive));
  const RequestNumber token = asked_for(kFile);
  reply(token.value, TokenGranted{.mode = TokenMode::kExclusive, .ask_again = {}});
  ASSERT_EQ(completed.size(), 1u) << "decided here";
  say(Recall{.file = kFile, .token = token, .wanted = TokenMode::kShared});
  const auto drain = std::get<Drain>(events.back());
  sent.clear();
  take(core.drained(kFile, drain.round, true, at(milliseconds{0})));
  for (const Request& request : requests())
    if (std::holds_alternative<PushLocks>(request.command))
      reply(request.number.value, refused(Limit::kRangesOfSession));
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].cost, Cost::kLost);
  EXPECT_EQ(files_lost(), std::vector<FileKey>{kFile});
}

// ---- In words

TEST(LimitWords, EachSaysWhatBecomesOfTheDataAndWhichOptionHelps) {
  const Command lock = LockRequest{};
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    if (errc_of(limit) == LockErrc::kTooManySessions) continue;  // said of a Hello only
    SCOPED_TRACE(std::string(name_of(limit)));
    const auto one = limit_refusal(lock, refused(limit), By::kLockd);
    ASSERT_TRUE(one);
    const bool again = limit == Limit::kRequestsOfSession;
    EXPECT_EQ(meaning_of(*one), std::string("a lock was not granted, the program was told ") +
                                    (again ? "EAGAIN" : "ENOLCK") + "; nothing is lost");
    const std::string option =
        "holdfast-lockd --limit " + std::string(name_of(set_by(limit))) + "=NUMBER allows more";
    EXPECT_NE(hint_for(*one).find(option), std::string::npos) << hint_for(*one);
  }
}

TEST(LimitWords, WhatIsLostIsCalledLost) {
  for (const Command& command : {Command(PushLocks{}), Command(TokenAssert{})}) {
    const auto one = limit_refusal(command, refused(Limit::kFiles), By::kLockd);
    ASSERT_TRUE(one);
    EXPECT_NE(meaning_of(*one).find("are lost; programs get EIO"), std::string::npos);
  }
}

// ---- How often

TEST(LimitLines, OneAMinuteOfAKindWithTheirNumber) {
  LimitLines lines;
  const Command lock = LockRequest{};
  const auto ranges = *limit_refusal(lock, refused(Limit::kRangesOfSession), By::kLockd);
  const auto files = *limit_refusal(lock, refused(Limit::kFiles), By::kLockd);
  EXPECT_EQ(lines.due(ranges, Instant(seconds(5))), 1u);
  for (int i = 0; i < 10; ++i)
    EXPECT_FALSE(lines.due(ranges, Instant(seconds(6 + i))));
  EXPECT_EQ(lines.due(files, Instant(seconds(20))), 1u) << "another limit is news";
  EXPECT_EQ(lines.due(ranges, Instant(seconds(65))), 11u);
  EXPECT_FALSE(lines.due(ranges, Instant(seconds(66))));
}

}  // namespace
}  // namespace holdfast::fs
