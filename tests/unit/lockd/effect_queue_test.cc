// Nothing leaves before the records ahead of it are durable; nothing waits without a reason.
#include "lockd/server/effect_queue.h"

#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::lockd {
namespace {

class EffectQueueTest : public ::testing::Test {
 protected:
  static Effect end(std::uint64_t session) { return EndSession{{session}}; }
  static Effect record(std::uint64_t session) { return Record{{DropSession{{session}}}}; }
  static std::vector<std::uint64_t> sessions(const StoreChanges& changes) {
    std::vector<std::uint64_t> out;
    for (const StoreChange& change : changes)
      out.push_back(std::get<DropSession>(change).session.value);
    return out;
  }

  std::vector<std::uint64_t> performed;
  int woken = 0;
  std::function<void()> while_performing = [] {};
  EffectQueue queue{[this](const Effect& effect) {
                      performed.push_back(std::get<EndSession>(effect).session.value);
                      while_performing();
                    },
                    [this] { ++woken; }};
  using Ids = std::vector<std::uint64_t>;
};

TEST_F(EffectQueueTest, WithoutRecordsEverythingHappensAtOnce) {
  queue.add({end(1), end(2)});
  EXPECT_EQ(performed, (Ids{1, 2}));
  EXPECT_EQ(woken, 0);
}

TEST_F(EffectQueueTest, WhatFollowsARecordWaitsUntilItIsDurable) {
  queue.add({end(1), record(7), end(2)});
  queue.add({end(3)});
  EXPECT_EQ(performed, Ids{1});
  EXPECT_EQ(woken, 1);
  EXPECT_EQ(sessions(queue.take_changes()), Ids{7});
  EXPECT_EQ(performed, Ids{1}) << "being written is not written";
  queue.written();
  EXPECT_EQ(performed, (Ids{1, 2, 3}));
  EXPECT_EQ(queue.waiting(), 0u);
}

TEST_F(EffectQueueTest, RecordsThatComeDuringAWriteAreWrittenTogetherAfterIt) {
  queue.add({record(7), end(1)});
  EXPECT_EQ(sessions(queue.take_changes()), Ids{7});
  queue.add({record(8), end(2)});
  queue.add({record(9), end(3)});
  EXPECT_EQ(woken, 2) << "once for each batch";
  queue.written();
  EXPECT_EQ(performed, Ids{1});
  EXPECT_EQ(sessions(queue.take_changes()), (Ids{8, 9}));
  queue.written();
  EXPECT_EQ(performed, (Ids{1, 2, 3}));
}

TEST_F(EffectQueueTest, ARecordOfNothingHoldsNothingUp) {
  queue.add({Record{}, end(1)});
  EXPECT_EQ(performed, Ids{1});
  EXPECT_EQ(woken, 0);
}

TEST_F(EffectQueueTest, EffectsOfEffectsComeAfterWhatIsThereAlready) {
  bool once = true;
  while_performing = [&] {
    if (std::exchange(once, false)) queue.add({end(9)});
  };
  queue.add({end(1), end(2)});
  EXPECT_EQ(performed, (Ids{1, 2, 9}));
}

}  // namespace
}  // namespace holdfast::lockd
