#pragma once
/// A file that is written behind, over a storage that restarts and fails when it is told to.
///
/// Thread: the test's. One Bench is one loop, run step by step.

#include "fs/io/inode_writer.h"
#include "fs/io/write_behind.h"
#include "tests/property/io/restarting_storage.h"

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

namespace holdfast::fs::testing {

namespace asio = boost::asio;

using Bytes = RestartingStorage::Bytes;
inline const Credentials kWho{7, 7, {}};
constexpr std::size_t kPage = 4096;

class Bench {
 public:
  explicit Bench(std::chrono::milliseconds age_max = std::chrono::hours(1))
      : storage(io, 1),
        behind(io.get_executor(), budget, [this] { return entitled(); }, {.age_max = age_max}),
        writer(make(storage)) {
    storage.set_write_max(1U << 20);
    writer->begin_behind(behind);
  }
  ~Bench() {
    in_loop([this] { writer.reset(); });
    io.restart();
    asio::co_spawn(io, behind.join(), asio::detached);
    io.run();
  }

  asio::io_context io;
  WriteBudget budget;
  RestartingStorage storage;
  WriteBehind behind;
  std::unique_ptr<InodeWriter> writer;
  bool is_entitled = true;

  std::unique_ptr<InodeWriter> make(RestartingStorage& to) {
    return std::make_unique<InodeWriter>(io.get_executor(), to, budget, FileHandle{});
  }
  template <class T>
  T sync(asio::awaitable<T> work) {
    std::optional<T> out;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr error, T value) {
      if (error) std::rethrow_exception(error);
      out.emplace(std::move(value));
    });
    while (!out)
      turn();
    return std::move(*out);
  }
  /// Asio cancels a coroutine at once only from within its loop.
  void in_loop(const std::function<void()>& work) {
    bool done = false;
    asio::post(io, [&] {
      work();
      done = true;
    });
    while (!done)
      turn();
  }
  void turn() {
    io.restart();
    io.run_one();
  }
  void turns(int count) {
    for (; count > 0; --count) {
      io.restart();
      io.poll_one();
    }
  }
  void write(std::uint64_t offset, const Bytes& data) {
    ASSERT_TRUE(sync(writer->write(kWho, offset, data)));
  }
  void write(std::uint64_t offset, std::size_t size) { write(offset, Bytes(size, 7)); }
  Result<void> fsync() { return sync(writer->commit(kWho)); }

  struct Calls {
    unsigned unstable, stable, commits;
    friend bool operator==(const Calls&, const Calls&) = default;
  };
  /// Since the last time.
  Calls calls() {
    const Calls now{storage.unstable_writes, storage.stable_writes, storage.commits};
    const Calls out{now.unstable - seen_.unstable, now.stable - seen_.stable,
                    now.commits - seen_.commits};
    seen_ = now;
    return out;
  }

 private:
  asio::awaitable<void> entitled() {
    while (!is_entitled)
      co_await asio::post(io, asio::use_awaitable);
  }
  Calls seen_{};
};

}  // namespace holdfast::fs::testing
