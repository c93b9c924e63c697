// What the kernel does not remember any more: FORGET, and the memory that it frees.
#include "fs/fuse/operations.h"
#include "holdfast/base/log.h"
#include "holdfast/base/memory.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {
/// Of one request, which may have 65,000, before others are served.
constexpr std::size_t kForgetsPerTurn = 1'000;
/// Inodes after whose end memory goes back to the system. It costs some milliseconds, and a look at
/// all that are left: as many as these must have gone, too.
constexpr std::size_t kTrimAfter = 16'384;
}  // namespace

void Operations::looked_up(const InodePointer& inode) {
  inodes_.looked_up(inode->node, inode);
  if (inodes_.lookups(inode->node) > 1 || notifier_ == nullptr) return;
  if (cache_bound_.told(inodes_.size())) start("inodes.give_back", give_back());
}

Operations::Task Operations::give_back() {
  bool again = true;
  while (again) {
    log::debug("fuse.give_back", "known={} inodes_max={}", inodes_.size(), options_.inodes_max);
    co_await notifier_->give_back()->wait();
    again = cache_bound_.ended(inodes_.size());
  }
}

void Operations::forget(NodeId node, std::uint64_t count) {
  auto inode = inodes_.find(node);
  inodes_.forget(node, count);
  if (!inode) return;
  const FileKey key = inode->key;
  const std::weak_ptr<Inode> left = std::exchange(inode, nullptr);
  if (left.expired()) gone(key);
}

Operations::Task Operations::forget_all(std::vector<Forgotten> nodes) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (i > 0 && i % kForgetsPerTurn == 0) co_await asio::post(loop_, asio::use_awaitable);
    forget(nodes[i].node, nodes[i].count);
  }
}

void Operations::gone(const FileKey& file) {
  if (cache_ != nullptr) locks_.forgotten(file);
  if (++gone_ < std::max(kTrimAfter, inodes_.alive())) return;
  gone_ = 0;
  inodes_.shrink();
  return_freed_memory();
}

}  // namespace holdfast::fs
