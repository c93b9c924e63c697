// Which waits are told, and how often; and what Kubernetes is sent.
#include "cli/events/event.h"
#include "cli/events/teller.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

Instant at(Duration since_start) {
  return Instant{} + minutes{1'000} + since_start;
}

Wait wait_of(const std::string& pod, std::uint64_t fileid = 77) {
  Wait wait;
  wait.key = {"53", "uid-of-" + pod, fileid};
  wait.pod = {"shop", pod, "uid-of-" + pod};
  wait.age = seconds{31};
  return wait;
}

Told told_of(const std::string& behind) {
  return {.note = "note", .behind = behind, .holder = std::nullopt};
}

class TellerTest : public ::testing::Test {
 protected:
  /// What is due at that time, carried out.
  std::vector<Order> step(const std::vector<Wait>& waits, Duration when,
                          Outcome outcome = Outcome::kDone) {
    std::vector<Order> orders;
    for (const Wait& wait : teller_.due(waits, silent_, at(when))) {
      orders.push_back(teller_.order(wait, told_of(behind_), ++salt_));
      teller_.done(orders.back(), outcome, at(when));
    }
    return orders;
  }
  Teller teller_;
  std::set<std::string> silent_;
  std::string behind_ = "holder";
  std::uint64_t salt_ = 0;
};

TEST_F(TellerTest, AWaitIsToldOnceAndThenCountedOn) {
  const Wait wait = wait_of("app-0");
  const auto first = step({wait}, seconds{0});
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].count, 1U);
  EXPECT_TRUE(step({wait}, seconds{59}).empty());
  const auto second = step({wait}, seconds{60});
  ASSERT_EQ(second.size(), 1U);
  EXPECT_EQ(second[0].count, 2U);
  EXPECT_EQ(second[0].name, first[0].name);
  EXPECT_TRUE(step({wait}, seconds{179}).empty()) << "less and less often";
  EXPECT_EQ(step({wait}, seconds{180}).size(), 1U);
  unsigned told = 0;
  for (seconds now{180}; now < minutes{183}; now += seconds{5})
    told += static_cast<unsigned>(step({wait}, now).size());
  EXPECT_EQ(told, 18U) << "every ten minutes at last";
}

TEST_F(TellerTest, AWaitThatIsOverIsForgottenButNotOneThatCannotBeSeen) {
  const Wait wait = wait_of("app-0");
  const std::string name = step({wait}, seconds{0}).at(0).name;
  silent_ = {"53"};
  EXPECT_TRUE(step({}, seconds{5}).empty());
  silent_.clear();
  EXPECT_EQ(step({wait}, seconds{60}).at(0).name, name);
  EXPECT_TRUE(step({}, seconds{65}).empty());
  const auto again = step({wait}, seconds{70});
  ASSERT_EQ(again.size(), 1U) << "another wait";
  EXPECT_EQ(again[0].count, 1U);
  EXPECT_NE(again[0].name, name);
}

TEST_F(TellerTest, WhenOthersAreInTheWayThatIsAnotherEvent) {
  const Wait wait = wait_of("app-0");
  const std::string name = step({wait}, seconds{0}).at(0).name;
  behind_ = "another";
  EXPECT_TRUE(step({wait}, seconds{30}).empty());
  const auto next = step({wait}, seconds{60});
  EXPECT_EQ(next.at(0).count, 1U);
  EXPECT_NE(next.at(0).name, name);
  EXPECT_TRUE(step({wait}, seconds{179}).empty())
      << "holders that change all the time are no flood";
}

TEST_F(TellerTest, NothingIsDueWhileKubernetesDoesNotAnswer) {
  const Wait wait = wait_of("app-0");
  const std::string name = step({wait}, seconds{0}, Outcome::kFailed).at(0).name;
  EXPECT_TRUE(step({wait, wait_of("app-1")}, seconds{9}).empty());
  EXPECT_EQ(step({wait}, seconds{10}, Outcome::kFailed).at(0).name, name)
      << "the first answer may have been lost";
  EXPECT_TRUE(step({wait}, seconds{29}).empty()) << "longer and longer";
  unsigned tries = 0;
  for (seconds now{30}; now < minutes{60}; now += seconds{5})
    tries += static_cast<unsigned>(step({wait}, now, Outcome::kFailed).size());
  EXPECT_LE(tries, 15U);
  EXPECT_EQ(step({wait}, minutes{70}).size(), 1U);
  EXPECT_EQ(step({wait}, minutes{71}).at(0).count, 2U);
}

TEST_F(TellerTest, AnEventThatIsGoneIsMadeAnewAndOneThatIsRefusedIsLeft) {
  const Wait wait = wait_of("app-0");
  const std::string name = step({wait}, seconds{0}).at(0).name;
  EXPECT_EQ(step({wait}, seconds{60}, Outcome::kGone).size(), 1U);
  const auto anew = step({wait}, seconds{65}, Outcome::kRefused);
  EXPECT_EQ(anew.at(0).count, 1U);
  EXPECT_NE(anew.at(0).name, name);
  EXPECT_TRUE(step({wait}, minutes{10}).empty());
  EXPECT_EQ(step({wait_of("app-1")}, minutes{10}).size(), 1U) << "others are told";
}

TEST_F(TellerTest, ANodeTellsNoMoreThanAFewAMinute) {
  std::vector<Wait> waits;
  for (int i = 0; i < 2'000; ++i)
    waits.push_back(wait_of("app-" + std::to_string(i)));
  EXPECT_EQ(step(waits, seconds{0}).size(), Teller::kPerMinuteMax);
  EXPECT_TRUE(step(waits, seconds{59}).empty());
  std::size_t told = 0;
  for (minutes now{1}; now < minutes{120}; ++now)
    told += step(waits, now).size();
  EXPECT_EQ(told, 119 * Teller::kPerMinuteMax);
}

TEST(EventsRequest, AnEventIsMadeThenItsSeriesIsCountedOn) {
  const Pod pod{"shop", "app-0", "uid"};
  Order order{.key = {}, .name = "app-0.1f", .pod = pod, .told = told_of(""), .count = 1};
  order.told.note = "a \"note\"";
  order.told.holder = Pod{"vault", "v-0", "uid-2"};
  constexpr std::chrono::microseconds kWall{1'764'349'445'000'042};
  const ApiRequest made = request_for(order, "node-a", kWall);
  EXPECT_EQ(made.method, "POST");
  EXPECT_EQ(made.target, "/apis/events.k8s.io/v1/namespaces/shop/events");
  EXPECT_EQ(
      made.body,
      R"({"apiVersion":"events.k8s.io/v1","kind":"Event","metadata":{"name":"app-0.1f",)"
      R"("namespace":"shop"},"eventTime":"2025-11-28T17:04:05.000042Z","type":"Warning",)"
      R"("reason":"LockWait","action":"WaitingForLock","reportingController":"csi.holdfast.io",)"
      R"("reportingInstance":"holdfast-node-a","regarding":{"apiVersion":"v1","kind":"Pod",)"
      R"("namespace":"shop","name":"app-0","uid":"uid"},"related":{"apiVersion":"v1",)"
      R"("kind":"Pod","namespace":"vault","name":"v-0","uid":"uid-2"},"note":"a \"note\""})");
  order.count = 3;
  const ApiRequest counted = request_for(order, "node-a", kWall);
  EXPECT_EQ(counted.method, "PATCH");
  EXPECT_EQ(counted.target, "/apis/events.k8s.io/v1/namespaces/shop/events/app-0.1f");
  EXPECT_EQ(counted.content_type, "application/merge-patch+json");
  EXPECT_EQ(counted.body,
            R"({"series":{"count":3,"lastObservedTime":"2025-11-28T17:04:05.000042Z"}})");
}

TEST(EventsRequest, WhatAnswersMean) {
  Order fresh;
  Order counted;
  counted.count = 2;
  EXPECT_EQ(outcome_of(fresh, 201, ""), Outcome::kDone);
  EXPECT_EQ(outcome_of(counted, 200, ""), Outcome::kDone);
  EXPECT_EQ(outcome_of(fresh, 409, ""), Outcome::kDone) << "made, and the answer was lost";
  EXPECT_EQ(outcome_of(counted, 409, ""), Outcome::kRefused);
  EXPECT_EQ(outcome_of(counted, 404, ""), Outcome::kGone);
  EXPECT_EQ(outcome_of(fresh, 404, ""), Outcome::kRefused) << "no such namespace";
  EXPECT_EQ(outcome_of(fresh, 422, ""), Outcome::kRefused);
  EXPECT_EQ(outcome_of(fresh, 403, R"({"causes":[{"reason":"NamespaceTerminating"}]})"),
            Outcome::kRefused);
  for (const unsigned status : {401U, 403U, 429U, 500U, 503U, 302U})
    EXPECT_EQ(outcome_of(fresh, status, "{}"), Outcome::kFailed) << status;
  EXPECT_NE(hint_for(403).find("ClusterRole"), std::string_view::npos);
  EXPECT_TRUE(hint_for(500).empty());
}

}  // namespace
}  // namespace holdfast::cli
