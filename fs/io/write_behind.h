#pragma once
/// The files of one mount that have bytes not yet sent, and when these are sent without anybody
/// asking: the oldest file first, when it is `age_max` old, when all of them have more than
/// `background_at`, or when a program waits for room.
///
/// Thread: the loop. Lifetime: outlives every writer that uses it; join() before destruction.

#include "fs/io/change.h"
#include "fs/io/write_budget.h"
#include "holdfast/task/group.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <set>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::fs {

class WriteBehind;

/// A file as WriteBehind sees it.
class DirtyFile {
 public:
  virtual ~DirtyFile() = default;
  /// Sends all there is now and makes it stable. The file keeps errors for its handles.
  virtual boost::asio::awaitable<void> flush() = 0;
  /// Ends a flush() at once.
  virtual void stop_flush() = 0;

 private:
  friend class WriteBehind;
  bool listed_ = false;
};

class WriteBehind {
 public:
  struct Options {
    std::chrono::milliseconds age_max{3'000};
    std::uint64_t background_at = 16ULL << 20;  ///< sending goes on beside the program's writing
  };
  /// `entitled`: returns when the mount may write at all; nothing is flushed before (I2).
  WriteBehind(boost::asio::any_io_executor executor, WriteBudget& budget,
              std::function<boost::asio::awaitable<void>()> entitled, Options options);

  /// `file` has bytes; harmless if that was known. It stays alive until clean() or its flush.
  void dirty(std::shared_ptr<DirtyFile> file);
  /// It has none any more.
  void clean(DirtyFile& file);
  [[nodiscard]] bool any() const { return !files_.empty(); }
  /// Returns when the budget has room for `bytes` more, or when no flush can make any: the caller
  /// looks for itself.
  boost::asio::awaitable<void> make_room(std::uint64_t bytes);

  /// Flushes what there is and ends.
  boost::asio::awaitable<void> join();
  /// Gives up what runs; for a join() that takes too long.
  void cancel();

 private:
  struct Entry {
    std::shared_ptr<DirtyFile> file;
    std::chrono::steady_clock::time_point since;
  };
  [[nodiscard]] bool due() const;
  boost::asio::awaitable<void> run();

  WriteBudget& budget_;
  std::function<boost::asio::awaitable<void>()> entitled_;
  Options options_;
  std::list<Entry> files_;  // oldest first
  std::shared_ptr<DirtyFile> flushing_;
  Change flushed_;
  boost::asio::steady_timer timer_;
  std::multiset<std::uint64_t> waiting_;  // how much room programs wait for
  bool running_ = false;
  bool ending_ = false;
  bool cancelled_ = false;
  task::Group group_;
};

}  // namespace holdfast::fs
