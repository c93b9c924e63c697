#include "fs/fuse/operations.h"

#include "holdfast/base/log.h"

#include <boost/asio/steady_timer.hpp>

namespace holdfast::fs {

Operations::Operations(boost::asio::any_io_executor loop, Backend& backend, LockService& locks,
                       const MountOptions& options)
    : loop_(loop), backend_(backend), locks_(locks), options_(options), group_(loop) {}

Operations::~Operations() = default;

Operations::Awaitable<Result<void>> Operations::prepare() {
  co_await locks_.wait_entitled();
  const auto root = co_await backend_.root();
  if (!root) co_return root.error();
  if (root->attributes.type != FileType::kDirectory) co_return errno_code(ENOTDIR);
  const auto inode = known(root->handle, root->attributes);
  HOLDFAST_ASSERT(inode->node == kRootNode, "the root must be the first inode");
  inodes_.looked_up(kRootNode, inode);
  start("silly.sweep", sweep_directory(root->handle, Credentials{}));
  co_return Result<void>{};
}

Operations::Task Operations::finish(std::chrono::milliseconds patience) {
  boost::asio::steady_timer timer(loop_, patience);
  timer.async_wait([this](const boost::system::error_code& stopped) {
    if (stopped) return;
    log::warn("fuse.cancelled", "operations={}", group_.size());
    group_.cancel();
  });
  co_await group_.join();
  timer.cancel();
  group_.cancel();  // refuses what would still be started
  handles_.clear();
  directories_.clear();
  virtual_.clear();
}

void Operations::suspended() {
  log::warn("fuse.suspended", "reason=lease_over");
  backend_.suspend();
}

void Operations::resumed() {
  log::info("fuse.resumed", "locks=kept");
  backend_.resume();
}

void Operations::lost() {
  std::size_t poisoned = 0;
  // Who held nothing lost nothing and goes on (I6); but whoever uses a file on which this mount
  // held a lock may act on what that lock protected.
  for (const auto& [id, handle] : handles_) {
    const Inode& inode = *handle->inode;
    const bool held = !inode.book.empty();
    const auto index = inode.wal.index.lock();
    const bool index_held = index && !index->book.empty();
    const bool database_held = inode.wal_index && !inode.wal_index->database->book.empty();
    if (!held && !index_held && !database_held) continue;
    handle->poisoned = true;
    ++poisoned;
  }
  for (const auto& [id, handle] : handles_) {
    Inode& inode = *handle->inode;
    if (inode.wal_index && handle->poisoned && inode.wal_index->linked) unlink_virtual(inode);
  }
  for (const auto& [id, handle] : handles_) {
    handle->inode->book.drop_all();
    review_wal(*handle->inode);
  }
  life_locked_ = false;
  log::error("fuse.session_lost", "handles_poisoned={}", poisoned);
  backend_.resume();
}

}  // namespace holdfast::fs
