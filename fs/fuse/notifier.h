#pragma once
/// Tells the kernel to drop an inode's pages, from threads of its own.
///
/// The call blocks on page locks and sends WRITEs of dirty mapped pages, which the loop must answer
/// meanwhile: from the loop's thread it would wait for itself for ever, in state D (docs/
/// filesystem.md, "Threads"). One inode is served by one thread at a time; a stuck one leaves the
/// others working.
///
/// Thread: the loop, except for what `drop_pages` does.

#include "fs/core/inode_table.h"
#include "holdfast/task/event.h"

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

class Notifier {
 public:
  static constexpr std::size_t kThreads = 3;

  /// `drop_pages` is called on the threads and may block.
  Notifier(boost::asio::any_io_executor loop, std::function<void(NodeId)> drop_pages);
  /// stop() first.
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  void start();
  /// Returns when the kernel has written the dirty and dropped all pages of `node`.
  boost::asio::awaitable<void> invalidate(NodeId node);
  /// The same, nobody waits.
  void invalidate_later(NodeId node);
  /// Ends the threads; jobs not begun are dropped. Call when the kernel's connection is closed, so
  /// that no thread is stuck.
  void stop();

 private:
  struct Job {
    NodeId node;
    std::shared_ptr<task::Event> done;  // null: nobody waits. Shared with the waiting coroutine,
                                        // which may be cancelled before the thread is done
  };
  void enqueue(Job job);
  void work();

  boost::asio::any_io_executor loop_;
  std::function<void(NodeId)> drop_pages_;
  std::mutex mutex_;  // guards jobs_, busy_, stopping_; nothing is called under it
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::unordered_set<NodeId> busy_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace holdfast::fs
