// What is sent before anybody asks for it, and beside a COMMIT.

#include "tests/unit/io/write_behind_bench.h"

namespace holdfast::fs::testing {
namespace {

constexpr std::size_t kMiB = 1U << 20;

void write_mib(Bench& bench, std::uint64_t from, std::uint64_t to) {
  for (std::uint64_t i = from; i < to; ++i)
    bench.write(i * kMiB, kMiB);
}

TEST(WriteBehind, AStreamIsSentWhileItIsWritten) {
  Bench bench;
  write_mib(bench, 0, 3);
  bench.turns(1000);
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 0, 0})) << "little may be written again";
  write_mib(bench, 3, 5);
  bench.turns(1000);
  const auto sent = bench.calls();
  EXPECT_GE(sent.unstable, 4U) << "more waits for nobody";
  EXPECT_EQ(sent.commits, 0U);
  ASSERT_TRUE(bench.fsync());
}

TEST(WriteBehind, AStreamIsSentWhileACommitIsUnderWay) {
  Bench bench;
  bench.storage.commits_held = true;
  write_mib(bench, 0, 40);
  while (bench.storage.commits == 0)
    bench.turn();
  bench.turns(1000);
  (void)bench.calls();
  write_mib(bench, 40, 48);
  bench.turns(1000);
  EXPECT_GE(bench.calls().unstable, 4U);
  EXPECT_EQ(bench.storage.commits, 1U) << "one at a time";
  EXPECT_EQ(bench.budget.budget_reached, 0U);
  bench.storage.commits_held = false;
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.storage.stable().size(), 48 * kMiB);
  EXPECT_EQ(bench.budget.uncommitted_bytes, 0U);
}

TEST(WriteBehind, ACommitProvesNothingThatWasSentBesideIt) {
  Bench bench;
  bench.storage.commits_held = true;
  write_mib(bench, 0, 20);
  while (bench.storage.commits == 0)
    bench.turn();
  write_mib(bench, 20, 30);
  bench.turns(1000);  // they are sent, and the COMMIT that is under way was before
  bench.storage.commits_held = false;
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.storage.stable().size(), 30 * kMiB);
}

TEST(WriteBehind, WhatIsUnderWayWhenACommitFailsIsSentAgain) {
  Bench bench;
  bench.storage.commits_held = true;
  bench.storage.failing_commits = 1;
  bench.write(100, 10);
  bench.write(200, 10);
  asio::co_spawn(bench.io, bench.writer->commit(kWho), asio::detached);
  bench.turns(100);
  bench.storage.answers_held = true;
  bench.write(0, 10);
  asio::co_spawn(bench.io, bench.writer->send(kWho), asio::detached);
  bench.turns(100);
  ASSERT_EQ(bench.calls(), (Bench::Calls{3, 0, 1}));
  bench.storage.commits_held = false;  // all three are lost
  bench.turns(100);
  ASSERT_EQ(bench.storage.visible().size(), 0U);
  bench.storage.answers_held = false;
  bench.turns(100);
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.storage.stable().size(), 210U);
  EXPECT_EQ(bench.storage.stable()[9], 7);
}

TEST(WriteBehind, WhatIsOnItsWayThroughWhenACommitFailsIsSentAgain) {
  Bench bench;
  bench.writer->end_behind();
  bench.write(100, 10);
  bench.storage.answers_held = true;
  asio::co_spawn(bench.io, bench.writer->write(kWho, 0, Bytes(10, 7)), asio::detached);
  bench.storage.failing_commits = 1;
  EXPECT_FALSE(bench.fsync());
  ASSERT_EQ(bench.storage.visible().size(), 0U);
  bench.storage.answers_held = false;
  bench.turns(100);
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.storage.stable().size(), 110U);
  EXPECT_EQ(bench.storage.stable()[9], 7);
}

TEST(WriteBehind, ADiscardTakesBackWhatIsSentWithoutAnybodyAsking) {
  Bench bench;
  bench.storage.held = true;
  write_mib(bench, 0, 5);
  bench.turns(100);
  bench.in_loop([&] { bench.writer->discard(); });
  bench.turns(100);
  bench.storage.held = false;
  bench.turns(1000);
  EXPECT_EQ(bench.storage.visible().size(), 0U);
}

}  // namespace
}  // namespace holdfast::fs::testing
