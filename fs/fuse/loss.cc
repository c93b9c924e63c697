// The lease ends, and locks are lost: what stops, what dies, what goes on.
#include "fs/core/derived_key.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/proc.h"
#include "holdfast/base/log.h"

#include <set>
#include <utility>
#include <vector>

#include <boost/asio/cancellation_type.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

/// What stat(2) and the kernel's inode show, see attributes_of() for virtual files.
std::uint64_t stat_number(const Inode& inode) {
  return inode.wal_index ? inode.node.value | (std::uint64_t{1} << 63) : inode.key.fileid;
}

}  // namespace

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
  Inodes inodes;
  for (const auto& [id, handle] : handles_) {
    if (lock_held_around(*handle->inode)) inodes.insert(handle->inode);
  }
  for (const auto& inode : unstable_) {  // closed ones, too
    if (unstable_under_token(*inode)) inodes.insert(inode);
  }
  poison(inodes);
  cancel_changes(inodes);
  drop_kept({});
  life_locked_ = false;
  log::error("fuse.session_lost", "files_poisoned={}", inodes.size());
  start("resume", resume_when_entitled());
}

// The session goes on with its other locks. A database and its wal-index are lost together: what
// one lock protects the other relies on.
void Operations::lost_files(const std::vector<FileKey>& files) {
  const std::set<FileKey> gone(files.begin(), files.end());
  Inodes inodes;
  for (const auto& [id, handle] : handles_) {
    const InodePointer& inode = handle->inode;
    const auto index = inode->wal.index.lock();
    const bool ours = gone.contains(inode->key) || (index && gone.contains(index->key)) ||
                      (inode->wal_index && gone.contains(inode->wal_index->database->key));
    if (ours && lock_held_around(*inode)) inodes.insert(inode);
  }
  for (const auto& inode : unstable_) {  // closed ones, too
    if (gone.contains(inode->key) && unstable_under_token(*inode)) inodes.insert(inode);
  }
  poison(inodes);
  // What lockd did not give away, but nobody here will use any more.
  for (const auto& [id, handle] : handles_) {
    if (!inodes.contains(handle->inode) || gone.contains(handle->inode->key)) continue;
    ReleaseHandleRequest request;
    request.file = handle->inode->key;
    request.handle = id;
    start("lost.release", release_lost(request));
  }
  cancel_changes(inodes);
  drop_kept(files);
  // The next silly rename takes it again, or another life if somebody is cleaning up behind us.
  if (gone.contains(derive(FileKey{0, life_}, DerivedKey::kLife))) life_locked_ = false;
  log::error("fuse.locks_lost", "files={} files_poisoned={}", files.size(), inodes.size());
}

Operations::Task Operations::release_lost(ReleaseHandleRequest request) {
  (void)co_await locks_.release_handle(request);
}

bool Operations::lock_held_around(const Inode& inode) {
  const auto index = inode.wal.index.lock();
  return !inode.book().empty() || (index && !index->book().empty()) ||
         (inode.wal_index && !inode.wal_index->database->book().empty());
}

void Operations::poison(Inodes& inodes) {
  LostHolders::Inodes files;
  for (const auto& inode : inodes)
    files.insert(stat_number(*inode));
  losers_.lost(files);
  add_unstable_of_losers(inodes);
  for (const auto& [id, handle] : handles_) {
    if (!inodes.contains(handle->inode) || std::exchange(handle->poisoned, true)) continue;
    ++handle->inode->poisoned;
  }
  for (const auto& inode : inodes) {
    if (inode->wal_index && inode->wal_index->linked) unlink_virtual(*inode);
    if (inode->writer) inode->writer->discard();  // what it kept must not be sent again
    inode->writer.reset();
    // Dirty mapped pages end here, with EIO, before anybody opens the file anew.
    if (!inode->wal_index && notifier_ != nullptr) inode->pages.begin_drop(*notifier_, inode->node);
  }
  for (const auto& inode : inodes) {
    inode->own_book().drop_all();
    review_wal(*inode);
  }
}

// A journal, say, written under the lost lock: sent again later (after a restart of the server) it
// would end up in what is another node's journal by then. A program that is being killed shows no
// files any more, while its closes still run: what it did not make stable goes with the lock that
// it may have had.
void Operations::add_unstable_of_losers(Inodes& inodes) {
  for (const auto& inode : unstable_) {
    if (inodes.contains(inode) || !inode->dirty()) continue;
    const pid_t writer = inode->last_writer;
    if (lost_a_lock(writer) || (writer != 0 && is_ending(writer))) inodes.insert(inode);
  }
}

void Operations::cancel_changes(const Inodes& inodes) {
  const auto concerned = [&](const ChangeOf& change) {
    const auto inode = change.inode ? change.inode : inodes_.find(change.node);
    if (inode && inodes.contains(inode)) return true;
    return change.tid != 0 && lost_a_lock(change.tid);
  };
  // One that ends erases its entry, perhaps inside emit().
  for (auto it = changes_.begin(); it != changes_.end();) {
    auto current = it++;
    if (concerned(current->of)) current->signal.emit(asio::cancellation_type::terminal);
  }
}

void Operations::review_losers() {
  if (losers_.empty()) return;
  LostHolders::Inodes files;
  for (const auto& [id, handle] : handles_) {
    if (handle->poisoned) files.insert(stat_number(*handle->inode));
  }
  losers_.keep(files);
}

Operations::Task Operations::resume_when_entitled() {
  co_await locks_.wait_entitled();
  backend_.resume();
}

}  // namespace holdfast::fs
