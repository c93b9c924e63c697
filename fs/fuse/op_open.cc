#include "fs/fuse/operations.h"

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::fs {
namespace {

constexpr int kOpenForExec = 0x20;  // linux: include/linux/fs.h, __FMODE_EXEC

std::uint32_t wanted_access(int flags) {
  switch (flags & O_ACCMODE) {
    case O_WRONLY:
      return W_OK;
    case O_RDWR:
      return R_OK | W_OK;
    default:
      // A program that may be run but not read: NFS servers let it be read for running.
      return (flags & kOpenForExec) != 0 ? X_OK : R_OK;
  }
}

/// Counts an open from its first moment, so that an unlink meanwhile sees it.
class Opening {
 public:
  explicit Opening(InodePointer inode) : inode_(std::move(inode)) { ++inode_->opens; }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;
  ~Opening() {
    if (inode_) --inode_->opens;
  }
  /// RELEASE counts down from here on.
  void keep() { inode_.reset(); }

 private:
  InodePointer inode_;
};

}  // namespace

Operations::Task Operations::open(OpenReply reply, Credentials who, NodeId node,
                                  fuse_file_info file) {
  const auto inode = inodes_.find(node);
  if (!inode) co_return reply.error(ESTALE);
  Opening opening(inode);
  if (!inode->wal_index) {
    co_await locks_.wait_entitled();
    if (cache_ != nullptr) {  // close-to-open, for what is changed without a token
      const auto current = co_await cache_->look_before_open(who, inode->handle);
      if (!current) co_return reply.error(current.error());
    }
    // The kernel judged by mode bits; the server knows better (root_squash, ACLs).
    const std::uint32_t wanted = wanted_access(file.flags);
    const auto granted = co_await backend_.access(who, inode->handle, wanted);
    if (!granted) {
      co_return reply.error(granted.error());
    }
    if ((*granted & wanted) != wanted) co_return reply.error(EACCES);
  }
  // Of a loss, perhaps: nobody begins while the pages of those before are still being taken away.
  co_await inode->pages.dropped();
  if (generation(*inode) != 0) co_await renew_pages(inode);
  const auto handle = add_handle(inode, std::move(who));
  file.fh = handle->id.value;
  // Without KEEP_CACHE the kernel drops the inode's pages now: close-to-open. A wal-index's pages
  // are what its processes share: they stay.
  file.keep_cache = inode->wal_index || pages_are_kept(*inode) ? 1 : 0;
  if (!reply.opened(file)) {
    handles_.erase(handle->id);
    co_return;
  }
  opening.keep();
}

Operations::Task Operations::create(CreateReply reply, Credentials who, NodeId parent,
                                    std::string name, mode_t mode, fuse_file_info file) {
  const auto directory = inodes_.find(parent);
  if (!directory) co_return reply.error(ESTALE);
  if (is_hidden(name)) co_return reply.error(EACCES);
  co_await locks_.wait_entitled();
  InodePointer inode;
  Attributes attributes;
  if (wal_index_database(name)) {
    const auto found = co_await resolve_virtual(who, directory, name);
    if (!found) co_return reply.error(found.error());
    if (*found) {
      inode = (*found)->index;
      if (inode && (file.flags & O_EXCL) != 0) co_return reply.error(EEXIST);
      if (!inode) {
        const auto made = co_await create_virtual(who, directory, name, mode, (*found)->database);
        if (!made) co_return reply.error(made.error());
        inode = *made;
      }
      attributes = attributes_of(*inode);
    }
  }
  if (!inode) {
    SetAttributes initial;
    initial.mode = mode & 07777U;
    if ((file.flags & O_TRUNC) != 0) initial.size = 0;
    const bool exclusive = (file.flags & O_EXCL) != 0;
    const auto entry = co_await backend_.create(
        who, directory->handle, name, exclusive ? CreateMode::kExclusive : CreateMode::kUnchecked,
        initial);
    if (!entry) co_return reply.error(entry.error());
    inode = known(entry->handle, entry->attributes);
    attributes = entry->attributes;
    if (const auto writer = inode->writer; initial.size && writer) {
      if (writer->idle()) {
        writer->truncated(0);
      } else {  // after what is on its way
        const auto pinned = co_await pin_for_change(inode);
        if (!pinned) co_return reply.error(pinned.error());
        SetAttributes empty;
        empty.size = 0;
        const auto cut = co_await writer->truncate(who, empty);
        if (!cut) co_return reply.error(cut.error());
      }
    }
  }
  ++inode->opens;
  const auto handle = add_handle(inode, std::move(who));
  file.fh = handle->id.value;
  file.keep_cache = inode->wal_index ? 1 : 0;
  looked_up(inode);
  if (!reply.created(entry_param(*inode, present(*inode, attributes)), file)) {
    forget(inode->node, 1);
    handles_.erase(handle->id);
    --inode->opens;
  }
}

Operations::Task Operations::release(DoneReply reply, NodeId, HandleId id) {
  const auto handle = find_handle(id);
  // Nobody waits for this answer, but the kernel counts it among its background requests.
  reply.done();
  if (!handle) co_return;
  const InodePointer inode = handle->inode;
  auto turn = inode->order.arrive();
  co_await release_handle(inode, handle, std::move(turn));
  handles_.erase(id);
  if (handle->poisoned) --inode->poisoned;
  review_losers();
  --inode->opens;
  last_close(inode);
}

}  // namespace holdfast::fs
