#include "fs/fuse/operations.h"

#include "holdfast/base/log.h"

#include <set>
#include <vector>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {

Operations::Operations(asio::any_io_executor loop, Backend& backend, LockService& locks,
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

Operations::Task Operations::change(Task operation) {
  const auto signal = changes_.emplace(changes_.end());
  struct Erase {
    std::list<asio::cancellation_signal>& list;
    std::list<asio::cancellation_signal>::iterator at;
    ~Erase() { list.erase(at); }
  };
  const Erase erase{changes_, signal};
  co_await asio::co_spawn(loop_, std::move(operation),
                          asio::bind_cancellation_slot(signal->slot(), asio::use_awaitable));
}

void Operations::cancel_changes() {
  // One that ends erases its entry, perhaps inside emit().
  for (auto it = changes_.begin(); it != changes_.end();) {
    auto current = it++;
    current->emit(asio::cancellation_type::terminal);
  }
}

Operations::Awaitable<Result<void>> Operations::commit(InodePointer inode, Credentials who) {
  if (!inode->writer || !inode->writer->dirty()) co_return Result<void>{};
  co_await locks_.wait_entitled();
  auto result = std::make_shared<Result<void>>(errno_code(EIO));
  try {
    co_await change(commit_into(inode, who, result));
  } catch (const boost::system::system_error& error) {
    if (error.code() != asio::error::operation_aborted) throw;
    *result = errno_code(EIO);  // the session was lost meanwhile
  }
  co_return *result;
}

Operations::Task Operations::commit_into(InodePointer inode, Credentials who,
                                         std::shared_ptr<Result<void>> result) {
  const auto writer = inode->writer;
  *result = Result<void>{};
  if (writer) *result = co_await writer->commit(who);
}

Operations::Task Operations::finish(std::chrono::milliseconds patience) {
  asio::steady_timer timer(loop_, patience);
  timer.async_wait([this](const boost::system::error_code& stopped) {
    if (stopped) return;
    log::warn("fuse.cancelled", "operations={}", group_.size());
    group_.cancel();
    cancel_changes();
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

// Who held nothing lost nothing and goes on (I6). But whoever uses a file on which this mount held
// a lock may act on what that lock protected: such handles are dead. And what is on its way to the
// storage (a write, or the unlink of a journal that ends a transaction) was ordered by a program
// that believed in its locks: none of it may arrive after somebody else got them (I2).
void Operations::lost() {
  backend_.suspend();  // the end may come without a suspension before
  std::set<InodePointer> inodes;
  for (const auto& [id, handle] : handles_) {
    if (lock_held_around(*handle->inode)) inodes.insert(handle->inode);
  }
  poison(inodes);
  life_locked_ = false;
  log::error("fuse.session_lost", "files_poisoned={}", inodes.size());
  start("resume", resume_when_entitled());
}

// The session goes on with its other locks. A database and its wal-index are lost together: what
// one lock protects the other relies on.
void Operations::lost_files(const std::vector<FileKey>& files) {
  const std::set<FileKey> gone(files.begin(), files.end());
  std::set<InodePointer> inodes;
  for (const auto& [id, handle] : handles_) {
    const InodePointer& inode = handle->inode;
    const auto index = inode->wal.index.lock();
    const bool ours = gone.contains(inode->key) || (index && gone.contains(index->key)) ||
                      (inode->wal_index && gone.contains(inode->wal_index->database->key));
    if (ours && lock_held_around(*inode)) inodes.insert(inode);
  }
  // What lockd did not give away, but nobody here will use any more.
  for (const auto& [id, handle] : handles_) {
    if (!inodes.contains(handle->inode) || gone.contains(handle->inode->key)) continue;
    ReleaseHandleRequest request;
    request.file = handle->inode->key;
    request.handle = id;
    start("lost.release", release_lost(request));
  }
  poison(inodes);
  log::error("fuse.locks_lost", "files={} files_poisoned={}", files.size(), inodes.size());
}

Operations::Task Operations::release_lost(ReleaseHandleRequest request) {
  (void)co_await locks_.release_handle(request);
}

bool Operations::lock_held_around(const Inode& inode) {
  const auto index = inode.wal.index.lock();
  return !inode.book.empty() || (index && !index->book.empty()) ||
         (inode.wal_index && !inode.wal_index->database->book.empty());
}

void Operations::poison(const std::set<InodePointer>& inodes) {
  for (const auto& [id, handle] : handles_) {
    if (inodes.contains(handle->inode)) handle->poisoned = true;
  }
  for (const auto& inode : inodes) {
    if (inode->wal_index && inode->wal_index->linked) unlink_virtual(*inode);
    inode->writer.reset();  // what it kept must not be sent again
    // Dirty mapped pages end here, with EIO, before anybody opens the file anew.
    if (!inode->wal_index && notifier_ != nullptr) notifier_->invalidate_later(inode->node);
  }
  for (const auto& inode : inodes) {
    inode->book.drop_all();
    review_wal(*inode);
  }
  if (!inodes.empty()) cancel_changes();
}

Operations::Task Operations::resume_when_entitled() {
  co_await locks_.wait_entitled();
  backend_.resume();
}

}  // namespace holdfast::fs
