// The judges of the torture suite: each must find what was planted, and nothing else.

#include "cli/torture/history.h"

#include <gtest/gtest.h>

namespace holdfast::torture {
namespace {

const std::vector<std::string> kNames{"a", "b"};

Record at(std::uint64_t ns, std::uint32_t worker, Event event, std::uint64_t value = 0,
          std::uint16_t resource = 0, Access access = Access::kExclusive) {
  return {ns, value, worker, resource, event, access};
}

TEST(FindOverlaps, HoldersInTurnAreFine) {
  const std::vector<Record> history{at(10, 1, Event::kGranted), at(20, 1, Event::kUnlocking),
                                    at(20, 2, Event::kGranted), at(30, 2, Event::kUnlocking)};
  EXPECT_TRUE(find_overlaps(history, kNames).empty());
}

TEST(FindOverlaps, TwoExclusiveHoldersAreFound) {
  const std::vector<Record> history{at(10, 1, Event::kGranted), at(20, 1, Event::kUnlocking),
                                    at(19, 2, Event::kGranted), at(30, 2, Event::kUnlocking)};
  EXPECT_EQ(find_overlaps(history, kNames).size(), 1U);
}

TEST(FindOverlaps, AHoldInsideALongOneIsFoundBehindAnother) {
  const std::vector<Record> history{at(10, 1, Event::kGranted), at(90, 1, Event::kUnlocking),
                                    at(20, 2, Event::kGranted), at(25, 2, Event::kUnlocking),
                                    at(60, 3, Event::kGranted), at(65, 3, Event::kUnlocking)};
  EXPECT_EQ(find_overlaps(history, kNames).size(), 2U);
}

TEST(FindOverlaps, SharedHoldersMayOverlapButNotWithAnExclusiveOne) {
  std::vector<Record> history{
      at(10, 1, Event::kGranted, 0, 0, Access::kShared), at(50, 1, Event::kUnlocking, 0, 0),
      at(20, 2, Event::kGranted, 0, 0, Access::kShared), at(30, 2, Event::kUnlocking, 0, 0)};
  EXPECT_TRUE(find_overlaps(history, kNames).empty());
  history.push_back(at(40, 3, Event::kGranted));
  history.push_back(at(60, 3, Event::kUnlocking));
  EXPECT_EQ(find_overlaps(history, kNames).size(), 1U);
}

TEST(FindOverlaps, DifferentLocksAreNotCompared) {
  const std::vector<Record> history{at(10, 1, Event::kGranted), at(20, 1, Event::kUnlocking),
                                    at(15, 2, Event::kGranted, 0, 1),
                                    at(30, 2, Event::kUnlocking, 0, 1)};
  EXPECT_TRUE(find_overlaps(history, kNames).empty());
}

TEST(FindOverlaps, AKilledHolderHoldsUntilItsLastRecord) {
  std::vector<Record> history{at(10, 1, Event::kGranted), at(20, 1, Event::kIntent, 7),
                              at(15, 2, Event::kGranted), at(30, 2, Event::kUnlocking)};
  EXPECT_EQ(find_overlaps(history, kNames).size(), 1U);
  history[2].ns = 21;
  EXPECT_TRUE(find_overlaps(history, kNames).empty());
}

TEST(FindOverlaps, AHoldThatEndedAtAnUnknownTimeIsNotJudged) {
  const std::vector<Record> history{at(10, 1, Event::kGranted), at(20, 1, Event::kGaveUp),
                                    at(15, 2, Event::kGranted), at(30, 2, Event::kUnlocking)};
  EXPECT_TRUE(find_overlaps(history, kNames).empty());
}

TEST(JudgeCounter, AcknowledgedPlusUnknownBoundsTheFinalValue) {
  const std::vector<Record> history{at(1, 1, Event::kIntent, 1), at(2, 1, Event::kAcked, 1),
                                    at(3, 2, Event::kIntent, 2)};
  EXPECT_TRUE(judge_counter(history, 0, "c", 0, 1).empty());
  EXPECT_TRUE(judge_counter(history, 0, "c", 0, 2).empty());
  EXPECT_FALSE(judge_counter(history, 0, "c", 0, 3).empty());
  EXPECT_FALSE(judge_counter(history, 0, "c", 0, 0).empty());
}

TEST(JudgeCounter, ALostUpdateIsFoundByItsValue) {
  const std::vector<Record> history{at(1, 1, Event::kIntent, 1), at(2, 2, Event::kIntent, 1),
                                    at(3, 1, Event::kAcked, 1), at(4, 2, Event::kAcked, 1)};
  const auto found = judge_counter(history, 0, "c", 0, 1);
  ASSERT_EQ(found.size(), 2U);  // the pair, and the sum that does not add up
  EXPECT_NE(found[0].what.find("lost update"), std::string::npos);
}

TEST(JudgeCounter, OtherCountersDoNotCount) {
  const std::vector<Record> history{at(1, 1, Event::kIntent, 1, 1), at(2, 1, Event::kAcked, 1, 1)};
  EXPECT_TRUE(judge_counter(history, 0, "c", 0, 0).empty());
}

TEST(JudgeLedger, EveryAcknowledgedRowOnceAndOthersAtMostOnce) {
  const std::vector<Record> history{at(1, 1, Event::kIntent, 11), at(2, 1, Event::kAcked, 11),
                                    at(3, 2, Event::kIntent, 22)};
  EXPECT_TRUE(judge_ledger(history, std::vector<std::uint64_t>{11}, "db").empty());
  EXPECT_TRUE(judge_ledger(history, std::vector<std::uint64_t>{11, 22}, "db").empty());
}

TEST(JudgeLedger, LostDoubledAndInventedRowsAreFound) {
  const std::vector<Record> history{at(1, 1, Event::kIntent, 11), at(2, 1, Event::kAcked, 11),
                                    at(3, 2, Event::kIntent, 22)};
  EXPECT_EQ(judge_ledger(history, std::vector<std::uint64_t>{22}, "db").size(), 1U);
  EXPECT_EQ(judge_ledger(history, std::vector<std::uint64_t>{11, 22, 22}, "db").size(), 1U);
  EXPECT_EQ(judge_ledger(history, std::vector<std::uint64_t>{11, 33}, "db").size(), 1U);
}

TEST(Report, AnyViolationFailsAndIsExplained) {
  RunReport report;
  report.options.dirs = {"/a"};
  report.modes.push_back({.mode = "bank", .ops = 5});
  EXPECT_TRUE(report.passed());
  EXPECT_NE(to_text(report).find("PASS"), std::string::npos);
  report.modes[0].violations.push_back({"a row is \"lost\"", "db", "line\nline"});
  EXPECT_FALSE(report.passed());
  EXPECT_NE(to_text(report).find("FAIL"), std::string::npos);
  EXPECT_NE(to_text(report).find(meaning_of("bank")), std::string::npos);
  EXPECT_NE(to_json(report).find("\\\"lost\\\""), std::string::npos);
  EXPECT_NE(to_json(report).find("\\u000a"), std::string::npos);
}

}  // namespace
}  // namespace holdfast::torture
