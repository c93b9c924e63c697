// What commit() acknowledged is on the storage, whenever that restarts.

#include "fs/io/inode_writer.h"

#include "tests/property/io/restarting_storage.h"

#include <optional>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace asio = boost::asio;

namespace holdfast::fs::testing {
namespace {

const Credentials kWho{0, 0, {}};

struct Bench {
  explicit Bench(unsigned seed)
      : storage(io, seed), writer(io.get_executor(), storage, budget, {}) {}
  asio::io_context io;
  WriteBudget budget;
  RestartingStorage storage;
  InodeWriter writer;

  void settle() {
    io.restart();
    io.run();
  }
  template <class T>
  T sync(asio::awaitable<T> work) {
    std::optional<T> out;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T value) {
      if (error) std::rethrow_exception(error);
      out.emplace(std::move(value));
    });
    settle();
    return std::move(*out);
  }
};

std::vector<std::uint8_t> pattern(std::size_t size, int salt) {
  std::vector<std::uint8_t> out(size);
  for (std::size_t i = 0; i < size; ++i)
    out[i] = static_cast<std::uint8_t>(salt * 31 + static_cast<int>(i));
  return out;
}

/// One after the other: the file equals the model after each acknowledged commit, and survives a
/// restart then.
void run_sequence(unsigned restart_every, bool short_writes, unsigned seed) {
  Bench bench(seed);
  bench.storage.restart_every = restart_every;
  bench.storage.short_writes = short_writes;
  bench.budget.uncommitted_bytes_max = 600;
  RestartingStorage::Bytes model;
  std::minstd_rand random(seed);
  for (int step = 0; step < 60; ++step) {
    const std::uint64_t offset = random() % 300;
    switch (random() % 8) {
      case 0: {
        const std::uint64_t size = random() % 300;
        SetAttributes change;
        change.size = size;
        ASSERT_TRUE(bench.sync(bench.writer.truncate(kWho, change)));
        model.resize(size);
        break;
      }
      case 1:
      case 2: {
        ASSERT_TRUE(bench.sync(bench.writer.commit(kWho)));
        ASSERT_FALSE(bench.writer.dirty());
        ASSERT_EQ(bench.storage.stable(), model) << "step " << step;
        bench.storage.restart();
        ASSERT_EQ(bench.storage.visible(), model);
        break;
      }
      default: {
        const auto data = pattern(1 + random() % 150, step);
        ASSERT_TRUE(bench.sync(bench.writer.write(kWho, offset, data)));
        if (model.size() < offset + data.size()) model.resize(offset + data.size());
        std::copy(data.begin(), data.end(), model.begin() + static_cast<std::ptrdiff_t>(offset));
        ASSERT_LE(bench.budget.uncommitted_bytes, bench.budget.uncommitted_bytes_max);
        break;
      }
    }
  }
  ASSERT_TRUE(bench.sync(bench.writer.commit(kWho)));
  ASSERT_EQ(bench.storage.stable(), model);
  ASSERT_EQ(bench.budget.uncommitted_bytes, 0U);
}

TEST(InodeWriter, CommittedDataSurvivesARestartAtEveryNthCall) {
  for (unsigned n = 1; n <= 40; ++n) {
    for (unsigned seed = 1; seed <= 10; ++seed) {
      SCOPED_TRACE("n " + std::to_string(n) + " seed " + std::to_string(seed));
      run_sequence(n, seed % 2 == 0, seed);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

/// Writers to disjoint slots side by side, with commits in between: after a commit that came after
/// a write's answer, the slot is stable with that value or a later one.
asio::awaitable<void> slot_writer(Bench& bench, int slot, int rounds, std::vector<int>& stable,
                                  unsigned& failures) {
  for (int round = 1; round <= rounds; ++round) {
    const std::vector<std::uint8_t> data(50, static_cast<std::uint8_t>(round));
    const auto wrote =
        co_await bench.writer.write(kWho, static_cast<std::uint64_t>(slot) * 50, data);
    if (!wrote) ++failures;
    if (round % 3 != 0) continue;
    const auto committed = co_await bench.writer.commit(kWho);
    if (!committed) ++failures;
    stable[static_cast<std::size_t>(slot)] = round;
    const auto& bytes = bench.storage.stable();
    for (std::size_t i = 0; i < 50; ++i) {
      const std::size_t at = static_cast<std::size_t>(slot) * 50 + i;
      if (at >= bytes.size() || bytes[at] != round) ++failures;
    }
  }
}

TEST(InodeWriter, CommitsCoverWritesOfOthersThatRunBeside) {
  for (unsigned n = 0; n <= 30; ++n) {
    for (unsigned seed = 1; seed <= 6; ++seed) {
      Bench bench(seed);
      bench.storage.restart_every = n;
      bench.storage.short_writes = seed % 2 == 0;
      std::vector<int> stable(6);
      unsigned failures = 0;
      for (int slot = 0; slot < 6; ++slot)
        asio::co_spawn(bench.io, slot_writer(bench, slot, 12, stable, failures), asio::detached);
      bench.settle();
      ASSERT_EQ(failures, 0U) << "restart every " << n << " seed " << seed;
      ASSERT_EQ(stable, std::vector<int>(6, 12));
      ASSERT_TRUE(bench.writer.idle());
      ASSERT_FALSE(bench.writer.dirty());
    }
  }
}

TEST(InodeWriter, OverlappingWritesReachTheStorageInTheirOrder) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    Bench bench(seed);
    bench.storage.short_writes = true;
    std::vector<std::vector<std::uint8_t>> datas;
    for (int i = 0; i < 8; ++i)
      datas.emplace_back(200, static_cast<std::uint8_t>(i + 1));
    for (const auto& data : datas)
      asio::co_spawn(bench.io, bench.writer.write(kWho, 0, data), asio::detached);
    bench.settle();
    ASSERT_EQ(bench.storage.visible(), datas.back()) << "seed " << seed;
    ASSERT_TRUE(bench.sync(bench.writer.commit(kWho)));
    ASSERT_EQ(bench.storage.stable(), datas.back());
  }
}

TEST(InodeWriter, TruncationBesideACommitIsNotUndoneByItsResend) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    Bench bench(seed);
    const auto data = pattern(300, 1);
    ASSERT_TRUE(bench.sync(bench.writer.write(kWho, 0, data)));
    bench.storage.restart();  // the commit below has to resend
    SetAttributes change;
    change.size = 100;
    asio::co_spawn(bench.io, bench.writer.commit(kWho), asio::detached);
    asio::co_spawn(bench.io, bench.writer.truncate(kWho, change), asio::detached);
    bench.settle();
    ASSERT_EQ(bench.storage.visible().size(), 100U) << "seed " << seed;
    ASSERT_TRUE(bench.sync(bench.writer.commit(kWho)));
    const RestartingStorage::Bytes expected(data.begin(), data.begin() + 100);
    ASSERT_EQ(bench.storage.stable(), expected);
  }
}

TEST(InodeWriter, NothingToCommitAsksNobody) {
  Bench bench(1);
  ASSERT_TRUE(bench.sync(bench.writer.commit(kWho)));
  const auto data = pattern(10, 1);
  ASSERT_TRUE(bench.sync(bench.writer.write(kWho, 0, data)));
  ASSERT_TRUE(bench.sync(bench.writer.commit(kWho)));
  EXPECT_EQ(bench.storage.commits, 1U);
  ASSERT_TRUE(bench.sync(bench.writer.commit(kWho)));
  EXPECT_EQ(bench.storage.commits, 1U);
}

TEST(InodeWriter, ErrorsAreReportedOnceToEachHandleAndTheDataIsSentAgain) {
  Bench bench(1);
  ErrorCursor first = bench.writer.error_cursor();
  ErrorCursor second = bench.writer.error_cursor();
  const auto data = pattern(10, 1);
  ASSERT_TRUE(bench.sync(bench.writer.write(kWho, 0, data)));
  bench.storage.failing_commits = 1;
  EXPECT_EQ(bench.sync(bench.writer.commit(kWho)).error(), errno_code(EIO));
  EXPECT_EQ(bench.writer.take_error(first), errno_code(EIO));
  EXPECT_FALSE(bench.writer.take_error(first));
  ErrorCursor later = bench.writer.error_cursor();
  EXPECT_FALSE(bench.writer.take_error(later));
  // The storage lost the data under an unchanged verifier: the next commit sends it again.
  ASSERT_TRUE(bench.sync(bench.writer.commit(kWho)));
  EXPECT_EQ(bench.storage.stable(), data);
  EXPECT_EQ(bench.writer.take_error(second), errno_code(EIO));
  EXPECT_FALSE(bench.writer.take_error(second));
}

TEST(InodeWriter, AFileThatIsGoneKeepsNothing) {
  Bench bench(1);
  const auto data = pattern(10, 1);
  ASSERT_TRUE(bench.sync(bench.writer.write(kWho, 0, data)));
  bench.storage.failing_commits = 1;
  bench.storage.commit_errno = ESTALE;
  EXPECT_EQ(bench.sync(bench.writer.commit(kWho)).error(), errno_code(ESTALE));
  EXPECT_FALSE(bench.writer.dirty());
  EXPECT_EQ(bench.budget.uncommitted_bytes, 0U);
}

TEST(InodeWriter, AnExhaustedBudgetOfOtherFilesMeansStableWrites) {
  Bench bench(1);
  bench.budget.uncommitted_bytes_max = 100;
  bench.budget.uncommitted_bytes = 100;  // another file's
  const auto data = pattern(60, 1);
  ASSERT_TRUE(bench.sync(bench.writer.write(kWho, 0, data)));
  EXPECT_EQ(bench.storage.stable(), data);
  EXPECT_FALSE(bench.writer.dirty());
  EXPECT_EQ(bench.storage.commits, 0U);
  bench.budget.uncommitted_bytes -= 100;
}

TEST(InodeWriter, AReadAfterAWriteSeesItAlsoIfTheWriteIsStillQueued) {
  Bench bench(1);
  const auto old = pattern(10, 1);
  const auto fresh = pattern(10, 2);
  std::vector<std::uint8_t> seen;
  const auto write = [&](const std::vector<std::uint8_t>& data) {
    asio::co_spawn(bench.io, bench.writer.write(kWho, 0, data), asio::detached);
  };
  const auto look = [&]() -> asio::awaitable<void> {
    co_await bench.writer.written(5, 6);
    seen = bench.storage.visible();
  };
  write(old);
  write(fresh);  // waits for the first
  asio::co_spawn(bench.io, look, asio::detached);
  bench.settle();
  EXPECT_EQ(seen, fresh);
  bool passed = false;
  const auto elsewhere = [&]() -> asio::awaitable<void> {
    co_await bench.writer.written(10, 20);
    passed = true;
  };
  write(old);
  asio::co_spawn(bench.io, elsewhere, asio::detached);
  bench.io.restart();
  while (!passed && bench.io.poll_one() > 0) {
  }
  EXPECT_TRUE(passed) << "other bytes wait for nothing";
  bench.settle();
}

}  // namespace
}  // namespace holdfast::fs::testing
