#pragma once
/// The pages that the kernel may have of one inode, and who waits for them to be gone.
///
/// Thread: the loop. Lifetime: of its inode; the notifier outlives all waiting.

#include "fs/core/inode_table.h"

#include <memory>

#include <boost/asio/awaitable.hpp>

namespace holdfast::task {
class Event;
}

namespace holdfast::fs {

class Notifier;

class KernelPages {
 public:
  /// A READ or WRITE has arrived: it leaves pages.
  void may_exist() { exist_ = true; }
  /// Drops them, if there are any; nobody waits.
  void begin_drop(Notifier& notifier, NodeId node);
  /// Returns when all pages of this moment are gone, and dirty ones written: also those that
  /// somebody else has begun to drop. READ, WRITE, LOOKUP, READDIR, FLUSH must not wait.
  boost::asio::awaitable<void> drop(Notifier& notifier, NodeId node);
  /// Returns when every drop begun so far is over.
  boost::asio::awaitable<void> dropped();

 private:
  /// Cleared when a drop begins: a READ that arrives from then on is answered after whatever the
  /// drop is for, but its page may go or stay.
  bool exist_ = false;
  /// Of the last drop begun; those of one inode end in order.
  std::shared_ptr<task::Event> last_drop_;
};

}  // namespace holdfast::fs
