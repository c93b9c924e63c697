// Written behind: what programs read, and what fsync acknowledged, equal an array of bytes,
// whatever the storage does meanwhile.

#include "fs/io/write_behind.h"

#include "fs/io/inode_writer.h"
#include "tests/property/io/restarting_storage.h"

#include <algorithm>
#include <optional>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

namespace asio = boost::asio;

namespace holdfast::fs::testing {
namespace {

using Bytes = RestartingStorage::Bytes;
const Credentials kWho{7, 7, {}};
constexpr std::size_t kFileMax = 400;

struct Weather {
  unsigned restart_every = 0;
  unsigned failing_every = 0;
  unsigned commits_failing_every = 0;
  unsigned seed = 1;
  bool short_writes = false;
  bool flushes_at_once = false;
};

class Bench {
 public:
  explicit Bench(const Weather& weather)
      : storage(io, weather.seed),
        behind(io.get_executor(), budget, [] { return entitled(); },
               {.age_max = weather.flushes_at_once ? std::chrono::hours(0) : std::chrono::hours(1),
                .background_at = 200,
                .send_at = weather.seed % 5 == 0 ? 1'000U : 40U}),
        writer(io.get_executor(), storage, budget, {}),
        random_(weather.seed) {
    storage.restart_every = weather.restart_every;
    storage.failing_every = weather.failing_every;
    storage.commits_failing_every = weather.commits_failing_every;
    storage.short_writes = weather.short_writes;
    budget.uncommitted_bytes_max = 600;
  }

  asio::io_context io;
  WriteBudget budget;
  RestartingStorage storage;
  WriteBehind behind;
  InodeWriter writer;
  Bytes model;
  unsigned mistakes = 0;
  std::string first_mistake;

  void mistake(const std::string& what) {
    if (mistakes++ == 0) first_mistake = what;
  }
  unsigned random(unsigned below) { return static_cast<unsigned>(random_() % below); }

  /// As the filesystem does it.
  asio::awaitable<Bytes> read(std::uint64_t offset, std::uint32_t count) {
    co_await writer.written(offset, offset + count);
    while (true) {
      if (writer.suspect()) {
        const auto settled = co_await writer.commit(kWho);
        if (!settled) continue;
      }
      InodeWriter::Reading reading(writer, offset, offset + count);
      auto answer = co_await storage.read(kWho, {}, offset, count);
      if (reading.outdated()) continue;
      reading.correct(answer->data);
      co_return answer->data;
    }
  }
  asio::awaitable<std::uint64_t> size() {
    while (true) {
      if (writer.suspect()) {
        const auto settled = co_await writer.commit(kWho);
        if (!settled) continue;
      }
      InodeWriter::Reading reading(writer, 0, 0);
      const auto answer = co_await storage.getattr(kWho, {});
      if (reading.outdated()) continue;
      Attributes seen = *answer;
      reading.correct(seen);
      co_return seen.size;
    }
  }

 private:
  static asio::awaitable<void> entitled() { co_return; }
  std::minstd_rand random_;
};

asio::awaitable<void> write_one(Bench& bench, int step) {
  const std::uint64_t offset = bench.random(kFileMax - 150);
  const std::size_t size = 1 + bench.random(bench.random(4) == 0 ? 150 : 20);
  Bytes data(size);
  for (std::size_t i = 0; i < size; ++i)
    data[i] = static_cast<std::uint8_t>(step * 31 + static_cast<int>(i));
  // One that failed is repeated: nobody knows how much of it arrived.
  for (bool done = false; !done;) {
    const auto written = co_await bench.writer.write(kWho, offset, data);
    done = written.has_value();
  }
  if (bench.model.size() < offset + size) bench.model.resize(offset + size);
  std::copy(data.begin(), data.end(), bench.model.begin() + static_cast<std::ptrdiff_t>(offset));
}

asio::awaitable<void> truncate_one(Bench& bench) {
  SetAttributes change;
  change.size = bench.random(kFileMax);
  const auto done = co_await bench.writer.truncate(kWho, change);
  if (done) bench.model.resize(*change.size);
}

asio::awaitable<void> fsync_one(Bench& bench, int step) {
  const auto done = co_await bench.writer.commit(kWho);
  if (done && bench.storage.stable() != bench.model)
    bench.mistake("not stable after fsync, step " + std::to_string(step));
}

/// As a close does.
asio::awaitable<void> send_one(Bench& bench, int step) {
  // Else what was taken may be gone again.
  const bool steady = bench.storage.restart_every == 0 && bench.storage.commits_failing_every == 0;
  const auto sent = co_await bench.writer.send(kWho);
  if (sent && steady && bench.storage.visible() != bench.model)
    bench.mistake("not at the storage after a close, step " + std::to_string(step));
}

asio::awaitable<void> read_one(Bench& bench, int step) {
  // A COMMIT that fails loses what was written through, and nobody can tell before it is sent
  // again.
  if (bench.storage.commits_failing_every != 0) co_return;
  const std::uint64_t offset = bench.random(kFileMax);
  const std::uint32_t count = 1 + bench.random(100);
  const auto seen = co_await bench.read(offset, count);
  const auto start = std::min<std::size_t>(offset, bench.model.size());
  const auto end = std::min<std::size_t>(offset + count, bench.model.size());
  const Bytes expected(bench.model.begin() + static_cast<std::ptrdiff_t>(start),
                       bench.model.begin() + static_cast<std::ptrdiff_t>(end));
  if (seen != expected) bench.mistake("read, step " + std::to_string(step));
  const auto size = co_await bench.size();
  if (size != bench.model.size()) bench.mistake("size, step " + std::to_string(step));
}

/// The token goes and comes back.
asio::awaitable<void> switch_one(Bench& bench, int step) {
  bench.writer.end_behind();
  const auto committed = co_await bench.writer.commit(bench.writer.last_writer());
  if (committed && (bench.writer.dirty() || bench.storage.stable() != bench.model))
    bench.mistake("not clean after commit, step " + std::to_string(step));
  if (bench.random(2) == 0) co_await write_one(bench, step);
  if (bench.random(2) == 0) co_await read_one(bench, step);
  bench.writer.begin_behind(bench.behind);
}

asio::awaitable<void> program(Bench& bench, int steps) {
  bench.writer.begin_behind(bench.behind);
  for (int step = 0; step < steps && bench.mistakes == 0; ++step) {
    switch (bench.random(13)) {
      case 0:
        co_await truncate_one(bench);
        break;
      case 1:
        co_await fsync_one(bench, step);
        break;
      case 2:
        co_await switch_one(bench, step);
        break;
      case 3:
        co_await send_one(bench, step);
        break;
      case 4:
      case 5:
      case 6:
        co_await read_one(bench, step);
        break;
      default:
        co_await write_one(bench, step);
        break;
    }
    if (bench.budget.uncommitted_bytes > bench.budget.uncommitted_bytes_max)
      bench.mistake("over budget, step " + std::to_string(step));
  }
  bench.storage.failing_every = 0;
  bench.storage.commits_failing_every = 0;
  for (bool done = false; !done;) {
    const auto committed = co_await bench.writer.commit(kWho);
    done = committed.has_value();
  }
  if (bench.storage.stable() != bench.model) bench.mistake("not stable at the end");
}

/// Another program with the file open.
asio::awaitable<void> syncer(Bench& bench, const bool& ended) {
  while (!ended) {
    for (auto turns = bench.random(20); turns > 0; --turns)
      co_await asio::post(bench.io, asio::use_awaitable);
    (void)co_await bench.writer.commit(kWho);
  }
}

void run(const Weather& weather) {
  Bench bench(weather);
  bool ended = false;
  asio::co_spawn(bench.io, program(bench, 150), [&](std::exception_ptr) { ended = true; });
  if (weather.seed % 3 == 0) asio::co_spawn(bench.io, syncer(bench, ended), asio::detached);
  while (!ended)
    bench.io.run_one();
  asio::co_spawn(bench.io, bench.behind.join(), asio::detached);
  bench.io.run();
  ASSERT_EQ(bench.mistakes, 0U) << bench.first_mistake << ", seed " << weather.seed << " restart "
                                << weather.restart_every << " fail " << weather.failing_every;
  ASSERT_TRUE(bench.writer.idle());
  ASSERT_FALSE(bench.writer.dirty());
  ASSERT_EQ(bench.budget.uncommitted_bytes, 0U);
}

TEST(WriteBehind, ProgramsSeeAnArrayOfBytes) {
  for (unsigned seed = 1; seed <= 120; ++seed) {
    Weather weather;
    weather.seed = seed;
    weather.short_writes = seed % 2 == 0;
    weather.flushes_at_once = seed % 4 < 2;
    run(weather);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(WriteBehind, ProgramsSeeAnArrayOfBytesOnAStorageThatRestarts) {
  for (unsigned n = 1; n <= 20; ++n) {
    for (unsigned seed = 1; seed <= 12; ++seed) {
      Weather weather;
      weather.seed = seed;
      weather.restart_every = n;
      weather.short_writes = seed % 2 == 0;
      weather.flushes_at_once = seed % 4 < 2;
      run(weather);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(WriteBehind, ProgramsSeeAnArrayOfBytesOnAStorageThatFails) {
  for (unsigned n = 2; n <= 9; ++n) {
    for (unsigned seed = 1; seed <= 25; ++seed) {
      Weather weather;
      weather.seed = seed;
      weather.restart_every = seed % 5 == 0 ? 9 : 0;
      weather.failing_every = n;
      weather.flushes_at_once = seed % 2 == 0;
      run(weather);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(WriteBehind, WhatFsyncAcknowledgedIsStableOnAStorageWhoseCommitsFail) {
  for (unsigned n = 2; n <= 6; ++n) {
    for (unsigned seed = 1; seed <= 40; ++seed) {
      Weather weather;
      weather.seed = seed;
      weather.commits_failing_every = n;
      weather.flushes_at_once = seed % 2 == 0;
      run(weather);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace holdfast::fs::testing
