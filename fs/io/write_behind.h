#pragma once
/// The files of one mount that have bytes not yet stable, and what becomes of these without anybody
/// asking. They are made stable, the oldest file first, when it is `age_max` old, when all of them
/// have more than `background_at`, or when a program waits for room. Beside that, a file in which
/// `send_at` bytes wait is sent: a stream reaches the storage while it is written, and goes on
/// while a COMMIT is under way.
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
  /// Bytes not sent yet.
  [[nodiscard]] virtual std::uint64_t waiting() const = 0;
  /// Sends all there is now. The file keeps errors for its handles.
  virtual boost::asio::awaitable<void> send() = 0;
  /// The same, and makes it stable; also beside a send().
  virtual boost::asio::awaitable<void> flush() = 0;
  /// Ends both at once.
  virtual void stop_sending() = 0;

 private:
  friend class WriteBehind;
  bool listed_ = false;
};

class WriteBehind {
 public:
  struct Options {
    std::chrono::milliseconds age_max{3'000};
    std::uint64_t background_at = 16ULL << 20;
    std::uint64_t send_at = 4ULL << 20;
  };
  /// `entitled`: returns when the mount may write at all; nothing is flushed before (I2).
  WriteBehind(boost::asio::any_io_executor executor, WriteBudget& budget,
              std::function<boost::asio::awaitable<void>()> entitled, Options options);

  /// `file` has more bytes. It stays alive until clean() or its flush.
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
  [[nodiscard]] bool to_send(const DirtyFile& file) const;
  boost::asio::awaitable<void> send_ahead();

  WriteBudget& budget_;
  std::function<boost::asio::awaitable<void>()> entitled_;
  Options options_;
  std::list<Entry> files_;  // oldest first
  std::shared_ptr<DirtyFile> flushing_;
  std::shared_ptr<DirtyFile> sending_;
  Change flushed_;
  boost::asio::steady_timer timer_;
  std::multiset<std::uint64_t> waiting_;  // how much room programs wait for
  bool running_ = false;
  bool ending_ = false;
  bool cancelled_ = false;
  task::Group group_;
};

}  // namespace holdfast::fs
