// Writing behind: which calls go out, and when.

#include "tests/unit/io/write_behind_bench.h"

namespace holdfast::fs::testing {
namespace {

/// sqlite: src/pager.c. A header of one sector, then for each page its number, its content and a
/// checksum, each in a write of its own.
void write_journal(Bench& bench, int pages) {
  bench.write(0, 512);
  std::uint64_t at = 512;
  for (int page = 0; page < pages; ++page) {
    for (const std::size_t size : {std::size_t{4}, kPage, std::size_t{4}}) {
      bench.write(at, size);
      at += size;
    }
  }
}

TEST(CallsOfSqlite, ARollbackJournalIsOneStableWrite) {
  Bench bench;
  write_journal(bench, 3);
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 0, 0}));
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 1, 0}));
  bench.write(0, 12);  // the number of its records, when they are safe
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 1, 0}));
}

TEST(CallsOfSqlite, ScatteredPagesOfTheDatabaseAreAWriteEachAndOneCommit) {
  Bench bench;
  for (const std::uint64_t page : {0, 5, 9})
    bench.write(page * kPage, kPage);
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.calls(), (Bench::Calls{3, 0, 1}));
  EXPECT_EQ(bench.storage.stable().size(), 10 * kPage);
}

TEST(CallsOfSqlite, NeighbouringPagesAreOneStableWrite) {
  Bench bench;
  for (const std::uint64_t page : {1, 0, 2})
    bench.write(page * kPage, kPage);
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 1, 0}));
}

TEST(CallsOfSqlite, AJournalThatIsTruncatedBeforeItsSyncCostsNoWrite) {
  Bench bench;
  write_journal(bench, 1);
  SetAttributes change;
  change.size = 0;
  ASSERT_TRUE(bench.sync(bench.writer->truncate(kWho, change)));
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 0, 0}));
}

TEST(CallsOfSqlite, FramesOfALogAreOneStableWriteACommit) {
  Bench bench;
  constexpr std::size_t kFrame = 24 + kPage;  // sqlite: src/wal.c
  for (std::uint64_t transaction = 0; transaction < 3; ++transaction) {
    const std::uint64_t at = 32 + transaction * 2 * kFrame;
    for (const std::uint64_t frame : {0, 1}) {
      bench.write(at + frame * kFrame, 24);
      bench.write(at + frame * kFrame + 24, kPage);
    }
    ASSERT_TRUE(bench.fsync());
    EXPECT_EQ(bench.calls(), (Bench::Calls{0, 1, 0}));
  }
}

TEST(WriteBehind, WhatFitsNotIntoOneWriteIsSentInPiecesAndCommitted) {
  Bench bench;
  bench.storage.set_write_max(kPage);
  bench.write(100, 10 * kPage);
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.calls(), (Bench::Calls{10, 0, 1}));
}

TEST(WriteBehind, IsFlushedWhenItIsOld) {
  Bench bench(std::chrono::milliseconds(0));
  bench.write(0, 10);
  while (bench.writer->dirty())
    bench.turn();
  EXPECT_EQ(bench.storage.stable().size(), 10U);
}

TEST(WriteBehind, AClosedFileIsSentAtOnceAndCommittedWhenItIsOld) {
  Bench bench(std::chrono::milliseconds(20));
  bench.write(0, 10);
  ASSERT_TRUE(bench.sync(bench.writer->send(kWho)));
  EXPECT_EQ(bench.calls(), (Bench::Calls{1, 0, 0}));
  EXPECT_TRUE(bench.writer->dirty());
  ASSERT_TRUE(bench.sync(bench.writer->send(kWho)));
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 0, 0})) << "nothing is left to send";
  while (bench.writer->dirty())
    bench.turn();
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 0, 1}));
  EXPECT_EQ(bench.storage.stable().size(), 10U);
}

TEST(WriteBehind, ACloseHearsOfAFullDisk) {
  Bench bench;
  ErrorCursor cursor = bench.writer->error_cursor();
  bench.storage.failing_every = 1;
  bench.write(0, 10);
  EXPECT_EQ(bench.sync(bench.writer->send(kWho)).error(), errno_code(ENOSPC));
  EXPECT_EQ(bench.writer->take_error(cursor), errno_code(ENOSPC));
  EXPECT_TRUE(bench.writer->dirty()) << "the bytes are not lost";
  bench.storage.failing_every = 0;
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.storage.stable().size(), 10U);
}

TEST(WriteBehind, WhatGoesThroughAfterAFailureIsMadeStableWhenItIsOld) {
  Bench bench(std::chrono::milliseconds(20));
  bench.storage.failing_every = 1;
  bench.write(0, 10);
  EXPECT_FALSE(bench.fsync());
  bench.storage.failing_every = 0;
  bench.write(10, 10);  // through
  EXPECT_EQ(bench.storage.visible().size(), 20U);
  while (bench.writer->dirty())
    bench.turn();
  EXPECT_EQ(bench.storage.stable().size(), 20U);
}

TEST(WriteBehind, NothingIsFlushedWhileTheMountIsNotEntitled) {
  Bench bench(std::chrono::milliseconds(0));
  bench.is_entitled = false;
  bench.write(0, 10);
  bench.turns(1000);
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 0, 0}));
  bench.is_entitled = true;
  while (bench.writer->dirty())
    bench.turn();
  EXPECT_EQ(bench.storage.stable().size(), 10U);
}

TEST(WriteBehind, ShortMemoryFlushesTheOldestFileFirst) {
  Bench bench;
  bench.budget.uncommitted_bytes_max = 100;
  RestartingStorage other_storage(bench.io, 1);
  const auto other = bench.make(other_storage);
  other->begin_behind(bench.behind);
  bench.write(0, 40);
  ASSERT_TRUE(bench.sync(other->write(kWho, 0, Bytes(40, 1))));
  ASSERT_TRUE(bench.sync(other->write(kWho, 40, Bytes(40, 1))));
  EXPECT_FALSE(bench.writer->dirty());
  EXPECT_EQ(bench.storage.stable().size(), 40U);
  EXPECT_TRUE(other->dirty());
  EXPECT_EQ(other_storage.visible().size(), 0U);
  EXPECT_EQ(bench.budget.uncommitted_bytes, 80U);
  ASSERT_TRUE(bench.sync(other->commit(kWho)));
}

TEST(WriteBehind, WithoutAnyRoomWritesAreStableAtOnce) {
  Bench bench;
  bench.budget.uncommitted_bytes_max = 100;
  bench.budget.uncommitted_bytes += 100;  // what others wrote through
  bench.write(0, 40);
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 1, 0}));
  EXPECT_FALSE(bench.writer->dirty());
  bench.budget.uncommitted_bytes -= 100;
}

TEST(WriteBehind, AFailureInTheBackgroundIsReportedOnceToEachHandle) {
  Bench bench(std::chrono::milliseconds(0));
  ErrorCursor first = bench.writer->error_cursor();
  ErrorCursor second = bench.writer->error_cursor();
  bench.storage.failing_every = 1;
  bench.write(0, 10);
  while (bench.storage.stable_writes == 0 || bench.behind.any())
    bench.turn();
  EXPECT_TRUE(bench.writer->dirty()) << "the bytes are not lost";
  bench.storage.failing_every = 0;
  ASSERT_TRUE(bench.fsync());
  EXPECT_EQ(bench.storage.stable(), Bytes(10, 7));
  EXPECT_EQ(bench.writer->take_error(first), errno_code(ENOSPC));
  EXPECT_EQ(bench.writer->take_error(second), errno_code(ENOSPC));
  EXPECT_FALSE(bench.writer->take_error(first));
}

TEST(WriteBehind, AfterAFailureTheNextWriteHearsOfAFullDisk) {
  Bench bench;
  bench.storage.failing_every = 1;
  bench.write(0, 10);
  EXPECT_EQ(bench.fsync().error(), errno_code(ENOSPC));
  EXPECT_EQ(bench.sync(bench.writer->write(kWho, 10, Bytes(10, 1))).error(), errno_code(ENOSPC));
  bench.storage.failing_every = 0;
  ASSERT_TRUE(bench.fsync());
  (void)bench.calls();
  bench.write(20, 10);
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 0, 0})) << "deferred again";
  ASSERT_TRUE(bench.fsync());
}

TEST(WriteBehind, DiscardedBytesAreNeverSent) {
  Bench bench;
  ErrorCursor handle = bench.writer->error_cursor();
  bench.write(0, 10);
  bench.in_loop([&] { bench.writer->discard(); });
  EXPECT_FALSE(bench.writer->dirty());
  EXPECT_FALSE(bench.behind.any());
  EXPECT_EQ(bench.budget.uncommitted_bytes, 0U);
  EXPECT_EQ(bench.writer->take_error(handle), errno_code(EIO));
  EXPECT_EQ(bench.fsync().error(), errno_code(EIO));
  EXPECT_EQ(bench.sync(bench.writer->write(kWho, 0, Bytes(5, 1))).error(), errno_code(EIO));
  EXPECT_EQ(bench.calls(), (Bench::Calls{0, 0, 0}));
}

TEST(WriteBehind, NothingIsSentAfterADiscard) {
  Bench bench(std::chrono::milliseconds(0));
  bench.storage.set_write_max(8);
  bench.write(0, 8 * 100);
  while (bench.storage.unstable_writes == 0)
    bench.turn();
  bench.in_loop([&] { bench.writer->discard(); });
  bench.turns(1000);
  EXPECT_LE(bench.storage.unstable_writes, 8U) << "no more than were on their way";
  EXPECT_EQ(bench.storage.commits, 0U);
  EXPECT_EQ(bench.budget.uncommitted_bytes, 0U);
}

TEST(WriteBehind, ADiscardTakesBackWhatWaitsForTheStorage) {
  Bench bench(std::chrono::milliseconds(0));
  bench.storage.held = true;
  bench.write(0, 10);
  bench.turns(100);  // the flush has begun
  bench.in_loop([&] { bench.writer->discard(); });
  bench.turns(10);
  bench.storage.held = false;
  bench.turns(1000);
  EXPECT_EQ(bench.storage.visible().size(), 0U);
}

TEST(WriteBehind, SaysWhenAnAnswerOfTheStorageMayBeOlderThanAFlush) {
  Bench bench;
  const auto before = bench.budget.flushed;
  bench.write(0, 10);
  EXPECT_FALSE(bench.writer->flushed_since(before));
  ASSERT_TRUE(bench.fsync());
  EXPECT_TRUE(bench.writer->flushed_since(before));
  EXPECT_FALSE(bench.writer->flushed_since(bench.budget.flushed));
}

TEST(WriteBehind, AFileThatIsGoneKeepsNothing) {
  Bench bench;
  bench.storage.failing_every = 1;
  bench.storage.write_errno = ESTALE;
  bench.write(0, 10);
  EXPECT_EQ(bench.fsync().error(), errno_code(ESTALE));
  EXPECT_FALSE(bench.writer->dirty());
  EXPECT_EQ(bench.budget.uncommitted_bytes, 0U);
}

TEST(WriteBehind, AWriteThatIsStillOnItsWayThroughComesFirst) {
  Bench bench;
  bench.writer->end_behind();
  const Bytes old(100, 1);
  const Bytes fresh(60, 2);
  bench.storage.held = true;
  asio::co_spawn(bench.io, bench.writer->write(kWho, 0, old), asio::detached);
  bench.turns(10);
  bench.writer->begin_behind(bench.behind);
  asio::co_spawn(bench.io, bench.writer->write(kWho, 20, fresh), asio::detached);
  bench.turns(10);
  asio::co_spawn(bench.io, bench.writer->commit(kWho), asio::detached);
  bench.turns(10);
  bench.storage.held = false;
  while (!bench.writer->idle())
    bench.turn();
  ASSERT_TRUE(bench.fsync());
  Bytes expected = old;
  std::copy(fresh.begin(), fresh.end(), expected.begin() + 20);
  EXPECT_EQ(bench.storage.stable(), expected);
}

TEST(WriteBehind, AReadThatRunsBesideATruncationBringsNothingBack) {
  Bench bench;
  bench.write(0, 100);
  InodeWriter::Reading reading(*bench.writer, 0, 200);
  SetAttributes change;
  change.size = 30;
  ASSERT_TRUE(bench.sync(bench.writer->truncate(kWho, change)));
  Bytes answer;  // from before anything was sent
  reading.correct(answer);
  EXPECT_EQ(answer.size(), 30U);
  Attributes attributes;
  attributes.size = 30;
  reading.correct(attributes);
  EXPECT_EQ(attributes.size, 30U);
}

TEST(WriteBehind, ReadsSeeWhatWasWrittenAndZerosBetween) {
  Bench bench;
  bench.write(10, Bytes{1, 2, 3});
  InodeWriter::Reading reading(*bench.writer, 8, 20);
  Bytes answer;
  reading.correct(answer);
  EXPECT_EQ(answer, (Bytes{0, 0, 1, 2, 3}));
  Attributes attributes;
  reading.correct(attributes);
  EXPECT_EQ(attributes.size, 13U);
  EXPECT_GT(attributes.mtime.tv_sec, 0) << "a write changes it, sent or not";
  ASSERT_TRUE(bench.fsync());
}

}  // namespace
}  // namespace holdfast::fs::testing
