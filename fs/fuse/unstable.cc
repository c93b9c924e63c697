// What is written and not known to be stable, when it must not stay so.
#include "fs/fuse/operations.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <memory>
#include <vector>

namespace holdfast::fs {

Operations::Task Operations::stable_or_lost(InodePointer inode) {
  const auto writer = inode->writer;
  if (!writer) co_return;
  const auto committed = co_await commit(inode, writer->last_writer());
  // Nothing is left of a file that is gone; and whoever lost it meanwhile has thrown it away.
  if (committed || !writer->dirty() || inode->writer != writer) co_return;
  log::error("write.given_up", "node={} error=\"{}\"", inode->node.value,
             committed.error().message());
  give_up_unwritten(inode);
}

// As if its locks were lost (I6): who read what he had written would not find it any more.
void Operations::give_up_unwritten(const InodePointer& inode) {
  Inodes inodes{inode};
  if (const auto index = inode->wal.index.lock()) inodes.insert(index);
  poison(inodes);
  for (const auto& [id, handle] : handles_) {
    if (!inodes.contains(handle->inode)) continue;
    ReleaseHandleRequest request;
    request.file = handle->inode->key;
    request.handle = id;
    start("lost.release", release_lost(request));
  }
  cancel_changes(inodes);
}

void Operations::sweep_unstable() {
  constexpr std::size_t kSweepMin = 64;
  for (auto it = unstable_.begin(); it != unstable_.end();) {
    const auto& writer = (*it)->writer;
    if (writer && (!writer->idle() || writer->dirty())) {
      ++it;
      continue;
    }
    const FileKey file = (*it)->key;
    const std::weak_ptr<Inode> left = *it;
    it = unstable_.erase(it);
    if (left.expired()) gone(file);  // the kernel forgot it long ago
  }
  sweep_unstable_at_ = std::max(kSweepMin, 2 * unstable_.size());
}

Operations::Task Operations::flush_all() {
  const std::vector<InodePointer> all(unstable_.begin(), unstable_.end());
  for (const auto& inode : all) {
    const auto writer = inode->writer;
    if (writer) (void)co_await commit(inode, writer->last_writer());
  }
}

}  // namespace holdfast::fs
