// What the kernel keeps of an inode, pages and attributes, while a token allows it; and how it is
// given up. Names are not left to the kernel (inodes.cc).
#include "fs/fuse/operations.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {
std::uint64_t Operations::generation(const Inode& inode) const {
  if (cache_ == nullptr || inode.wal_index) return 0;
  return locks_.token_generation(inode.key);
}

// No longer than the lease as it is now: a mount that is frozen cannot take them back, and others
// go on when its lease is over (T11). A renewal lengthens it for later answers; the kernel asks
// again then, and is answered from memory. Pages go with them: read(2) asks for attributes first.
// Nor longer than the mount itself believes them (KeptAges).
double Operations::attributes_last(Inode& inode) const {
  if (generation(inode) == 0 || inode.poisoned > 0) return 0;
  inode.pages.may_exist();  // a drop takes the attributes back, too
  const std::chrono::duration<double> left =
      std::min(locks_.entitled_for(), cache_->ages().attributes);
  return std::max(left.count(), 0.0);
}

bool Operations::pages_are_kept(const Inode& inode) const {
  const std::uint64_t now = generation(inode);
  return now != 0 && inode.pages_of == now;
}

bool Operations::pages_need_renewal(const Inode& inode) const {
  return notifier_ != nullptr && !pages_are_kept(inode);
}

Operations::Awaitable<Result<TokenPin>> Operations::pin_for_change(InodePointer inode) {
  if (cache_ == nullptr) {
    co_await locks_.wait_entitled();
    co_return TokenPin{};
  }
  if (const auto mode = locks_.try_pin(inode->key, TokenUse::kWrite, Urgency::kKernelWaits))
    co_return TokenPin(locks_, inode->key, *mode);
  // It may be lost again before we run: what we do relies on its mode.
  Reliance held(under_way_);
  while (true) {
    held.on(inode->key);
    auto pinned = co_await pin(locks_, inode->key, TokenUse::kWrite);
    if (!pinned || !held.lost()) co_return pinned;
  }
}

Operations::Awaitable<void> Operations::renew_pages(InodePointer inode) {
  if (!pages_need_renewal(*inode)) co_return;
  const std::uint64_t now = generation(*inode);
  const std::uint64_t changes = inode->changes_elsewhere;
  co_await inode->pages.drop(*notifier_, inode->node);
  if (inode->changes_elsewhere == changes) inode->pages_of = now;
}

// Nobody waits here (it may be a LOOKUP): whoever reads on the strength of a page does
// (KernelPages:: dropped). What we have written ourselves is the writer's, and stays.
void Operations::changed_elsewhere(const FileKey& file) {
  const InodePointer inode = find_key(file);
  if (!inode) return;
  log::debug("fuse.changed_elsewhere", "node={} fileid={}", inode->node.value, file.fileid);
  ++inode->changes_elsewhere;
  // Nobody locks it, so somebody else may have switched its journal mode, too.
  if (std::exchange(inode->wal.kept_under, 0) != 0) forget_header(*inode);
  if (!pages_are_kept(*inode)) return;
  inode->pages_of = 0;
  if (notifier_ != nullptr) inode->pages.begin_drop(*notifier_, inode->node);
}

void Operations::drain(const Drain& drain) {
  const InodePointer inode = find_key(drain.file);
  if (!inode) {
    // Of a lock without a file, or of a file that nobody uses.
    if (cache_ != nullptr) cache_->drop(drain.file);
    return locks_.drained(drain.file, drain.round, false);
  }
  start("token.drain", drain_inode(inode, drain));
}

// Begun only in the last round: whoever reads(2) asks for the attributes before, and waits until
// the pages are gone (Operations::getattr), as OPEN and locks do.
Operations::Task Operations::drop_for(InodePointer inode, DropPages pages) {
  if (pages == DropPages::kEnded) {
    co_await inode->pages.drop(*notifier_, inode->node);
  } else {
    inode->pages.begin_drop(*notifier_, inode->node);
    co_await notifier_->drop_attributes(inode->node)->wait();
  }
}

// Dirty mapped pages first: they become writes. Then everything written becomes stable, or is lost.
Operations::Task Operations::drain_inode(InodePointer inode, Drain drain) {
  if (notifier_ != nullptr) co_await drop_for(inode, drain.pages);
  if (inode->writer) inode->writer->end_behind();
  const auto before = inode->writer;
  co_await stable_or_lost(inode);
  const bool lost = before != inode->writer;
  // Releases of locks that went with it leave before the token does; pages that show it are gone.
  if (lost) co_await asio::post(loop_, asio::use_awaitable);
  if (lost && drain.pages == DropPages::kEnded) co_await inode->pages.dropped();
  if (drain.keep != TokenMode::kRead || lost) {
    if (cache_ != nullptr) cache_->drop(inode->key);
    inode->kernel_size.forget();
    inode->pages_of = 0;
  }
  locks_.drained(inode->key, drain.round, inode->opens > 0);
}

// Whatever was written under such a token and is not stable may be somebody else's file by now.
void Operations::tokens_lost(const std::vector<FileKey>& files) {
  Inodes unstable;
  for (const auto& inode : unstable_) {
    const bool lost =
        files.empty() || std::find(files.begin(), files.end(), inode->key) != files.end();
    if (lost && unstable_under_token(*inode)) unstable.insert(inode);
  }
  if (!unstable.empty()) {
    poison(unstable);
    cancel_changes(unstable);
  }
  drop_kept(files);
  if (unstable.empty()) return;
  log::error("fuse.unstable_lost", "files_poisoned={}", unstable.size());
}

bool Operations::unstable_under_token(const Inode& inode) {
  return inode.written_alone && inode.dirty();
}

// A change that has its token ends by itself if it has left (Reliance), or asks for the token again
// and is refused; one that waits for its token goes on under the next.
void Operations::drop_kept(const std::vector<FileKey>& files) {
  if (files.empty()) under_way_.lost_all();
  for (const FileKey& file : files)
    under_way_.lost(file);
  std::vector<InodePointer> dropped;
  if (cache_ == nullptr) return;
  if (files.empty()) {
    cache_->lost_all();
    inodes_.for_each([&](const InodePointer& inode) { dropped.push_back(inode); });
  }
  for (const FileKey& file : files) {
    cache_->lost(file);
    if (auto inode = find_key(file)) dropped.push_back(std::move(inode));
  }
  for (const auto& inode : dropped) {
    inode->written_alone = false;
    if (inode->writer) inode->writer->end_behind();
    inode->pages_of = 0;
    inode->kernel_size.forget();
    if (notifier_ != nullptr) inode->pages.begin_drop(*notifier_, inode->node);
  }
}

}  // namespace holdfast::fs
