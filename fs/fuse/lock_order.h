#pragma once
/// The order of lock calls on one inode of this mount: first come, first sent.
///
/// A close or an unlock first makes data stable, which takes time; a lock request that arrived
/// after it must reach lockd after it, else the next locker of the same node is refused by a lock
/// that is already closed (xfstests generic/478). So each call takes a Turn when it arrives, waits
/// until those before it have left, and leaves right before it queues its message (LockService
/// keeps the order from there).
///
/// Thread: the loop. A Turn must not outlive its LockOrder.

#include "holdfast/task/event.h"
#include "holdfast/task/interrupt.h"

#include <list>
#include <optional>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

class LockOrder {
  using Queue = std::list<std::optional<task::Event>>;

 public:
  class Turn {
   public:
    Turn(Turn&& other) noexcept;
    Turn& operator=(Turn&&) = delete;
    ~Turn() { leave(); }
    /// Returns true when it is our turn, false if `interrupt` (may be null) came first; the place
    /// in the queue is kept.
    boost::asio::awaitable<bool> wait(boost::asio::any_io_executor executor,
                                      task::Interrupt* interrupt);
    /// Lets the next one go (it resumes by post, so what the caller queues before its next
    /// suspension stays ahead).
    void leave();

   private:
    friend class LockOrder;
    Turn(LockOrder* order, Queue::iterator place) : order_(order), place_(place) {}
    LockOrder* order_;
    Queue::iterator place_;
  };

  /// Nobody is before whoever would arrive now.
  [[nodiscard]] bool idle() const { return queue_.empty(); }
  [[nodiscard]] Turn arrive() { return {this, queue_.emplace(queue_.end())}; }

 private:
  Queue queue_;
};

}  // namespace holdfast::fs
