#include "fs/fuse/kernel_pages.h"

#include "fs/fuse/notifier.h"

namespace holdfast::fs {

void KernelPages::begin_drop(Notifier& notifier, NodeId node) {
  if (!exist_) return;
  exist_ = false;
  last_drop_ = notifier.drop(node);
}

boost::asio::awaitable<void> KernelPages::drop(Notifier& notifier, NodeId node) {
  begin_drop(notifier, node);
  co_await dropped();
}

boost::asio::awaitable<void> KernelPages::dropped() {
  const auto last = last_drop_;
  if (!last) co_return;
  co_await last->wait();
  if (last_drop_ == last) last_drop_.reset();
}

}  // namespace holdfast::fs
