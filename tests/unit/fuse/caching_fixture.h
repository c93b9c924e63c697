#pragma once
/// A CachingBackend over a storage, tokens and a clock that the test has in its hand.

#include "fs/cache/caching_backend.h"
#include "tests/unit/fuse/caching_fakes.h"

#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <gtest/gtest.h>

namespace holdfast::fs::testing {

inline const Credentials kRoot{};
inline const FileHandle kDirectory = FakeStorage::handle(1);
inline const FileKey kDirectoryKey = FakeStorage::key(1);

class CachingBackendTest : public ::testing::Test {
 protected:
  template <class T>
  std::future<Result<T>> begin(Backend::Awaitable<T> call) {
    auto done = boost::asio::co_spawn(loop_, std::move(call), boost::asio::use_future);
    settle();
    return done;
  }
  template <class T>
  Result<T> run(Backend::Awaitable<T> call) {
    auto done = begin(std::move(call));
    if (!ready(done)) throw std::runtime_error("it waits");
    return done.get();
  }
  template <class T>
  static bool ready(const std::future<T>& done) {
    return done.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }
  void settle() {
    loop_.restart();
    loop_.poll();
  }
  int calls(const std::string& name) { return storage_.calls[name]; }
  /// Given up, as Operations does it.
  void take(const FileKey& file) {
    tokens_.give(file, TokenMode::kShared);
    cache_.drop(file);
  }
  /// A file in the root, whose key the cache knows.
  std::uint64_t known_file(const std::string& name) {
    const std::uint64_t file = storage_.make(1, name);
    EXPECT_TRUE(run(cache_.root()));
    EXPECT_TRUE(run(cache_.lookup(kRoot, kDirectory, name)));
    storage_.calls.clear();
    return file;
  }
  std::uint64_t size_of(std::uint64_t file) {
    return run(cache_.getattr(kRoot, FakeStorage::handle(file)))->size;
  }
  /// 0 or the errno.
  int look_up(const std::string& name) {
    const auto found = run(cache_.lookup(kRoot, kDirectory, name));
    return found ? 0 : found.error().value();
  }

  boost::asio::io_context loop_;
  FakeStorage storage_{loop_};
  FakeTokens tokens_{loop_};
  Instant now_{std::chrono::hours(1)};
  CachingBackend cache_{storage_, tokens_, KeptAges{}, [this] { return now_; }};
};

}  // namespace holdfast::fs::testing
