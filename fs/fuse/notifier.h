#pragma once
/// Calls into the kernel that may block, made from threads of their own: drop an inode's pages, its
/// attributes, adopt its size; give back all inodes that are not used.
///
/// They wait for page locks and send requests (WRITEs of dirty mapped pages, a GETATTR), which the
/// loop must answer meanwhile: from the loop's thread they would wait for themselves for ever, in
/// state D (docs/filesystem.md, "Threads"). One inode is served by one thread at a time, in order.
/// A call may wait for a page whose READ or WRITE waits for another mount: there are more threads
/// if all are in use, so that what the other mount waits for is done meanwhile. Dropping attributes
/// waits for nothing of that kind, and for nobody else: it has its own.
///
/// Thread: the loop, except for what `Calls` do.

#include "fs/core/inode_table.h"
#include "holdfast/task/event.h"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_set>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <sys/types.h>

namespace holdfast::fs {

class Notifier {
 public:
  static constexpr std::size_t kThreads = 3;  ///< to begin with
  static constexpr std::size_t kThreadsMax = 64;

  /// Called on the threads, may block.
  struct Calls {
    std::function<void(NodeId)> drop_pages;
    std::function<std::optional<std::uint64_t>(NodeId)> adopt_size;
    std::function<void(NodeId)> drop_attributes;
    std::function<void()> give_back;
  };

  Notifier(boost::asio::any_io_executor loop, Calls calls);
  /// stop() first.
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  void start();
  /// Set when the kernel has written the dirty and dropped all pages that `node` has now, and
  /// everything that was asked before for this inode is done.
  std::shared_ptr<task::Event> drop(NodeId node);
  /// Set when the kernel asks for the attributes of `node` before it believes in them again. Does
  /// not wait for drop() of the same inode.
  std::shared_ptr<task::Event> drop_attributes(NodeId node);
  /// Makes the kernel take over the size as the storage has it. Returns what it has now; nothing if
  /// that cannot be done (adopt_size.h).
  boost::asio::awaitable<std::optional<std::uint64_t>> adopt_size(NodeId node);
  /// Set when the kernel has given back the inodes that it does not use. May wait for the WRITEs of
  /// any file: nobody who holds a token or answers a request waits for this one.
  std::shared_ptr<task::Event> give_back();
  /// `tid` is one of the threads: its requests must not wait for them.
  [[nodiscard]] bool is_own_thread(pid_t tid);
  /// Ends the threads; jobs not begun are dropped. Call when the kernel's connection is closed, so
  /// that no thread is stuck.
  void stop();

 private:
  enum class Kind : std::uint8_t { kDropPages, kAdoptSize, kDropAttributes, kGiveBack };
  enum class Role : std::uint8_t { kMayBeStuck, kAttributes };
  struct Outcome;
  struct Job {
    NodeId node;
    Kind kind;
    std::shared_ptr<Outcome> outcome;  // shared with waiting coroutines, which may be cancelled
                                       // before the thread is done
  };
  std::shared_ptr<Outcome> enqueue(NodeId node, Kind kind);
  void work(Role role);
  void run(const Job& job);
  [[nodiscard]] bool takes(Role role, const Job& job) const;
  [[nodiscard]] bool short_of_threads() const;

  boost::asio::any_io_executor loop_;
  Calls calls_;
  std::mutex mutex_;  // guards jobs_, busy_, idle_, tids_, stopping_; nothing is called under it
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::unordered_set<NodeId> busy_;
  std::size_t idle_ = 0;  // of those that may be stuck
  std::unordered_set<pid_t> tids_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::fs
