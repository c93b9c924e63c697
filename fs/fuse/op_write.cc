#include "fs/core/derived_key.h"
#include "fs/fuse/operations.h"

#include <algorithm>

namespace holdfast::fs {

Operations::Task Operations::write(WrittenReply reply, WriteCall call, Chunk data) {
  const auto handle = find_handle(call.handle);
  if (!handle) co_return reply.error(EBADF);
  if (handle->poisoned) co_return reply.error(EIO);
  const InodePointer inode = handle->inode;
  if (inode->wal_index) {
    const auto written = inode->wal_index->content.write(call.offset, data.bytes());
    if (!written) co_return reply.error(written.error());
    co_return reply.written(data.size());
  }
  inode->pages.may_exist();
  inode->last_writer = call.tid;
  const auto pinned = co_await pin_for_change(inode);
  if (!pinned) co_return reply.error(pinned.error());
  if (handle->poisoned) co_return reply.error(EIO);
  inode->written_alone = pinned->mode() == TokenMode::kExclusive;
  const bool behind = inode->written_alone;
  if (behind) writer_of(inode)->begin_behind(write_behind_);
  Result<void> written;
  if (call.append && behind) {
    Reliance alone(under_way_);
    alone.on(inode->key);
    written = co_await alone.send(write_at_end(handle, data, call.offset));
  } else if (call.append) {
    written = co_await append(handle, data, call.offset, reply.interrupt());
  } else {
    note_header_write(*inode, call.offset, data.bytes());
    const auto writer = writer_of(inode);
    written = co_await writer->write(handle->who, call.offset, data);
  }
  if (!written) {
    forget_header(*inode);  // nobody knows how much of it arrived
    inode->kernel_size.forget();
    co_return reply.error(written.error());
  }
  if (behind) handle->unsent = true;
  if (call.tid != 0) inode->kernel_size.wrote(call.offset + data.size());
  reply.written(data.size());
}

// The kernel filled in the offset from the size it remembers; another node may have appended since.
// So: one append of a file at a time in the whole volume, at the end as the storage sees it now.
// Whoever has the lock has the file's token, too: had it to ask for that, it could wait for a mount
// that waits for this lock with a page locked (T10). Where the end is holds only as long as both
// are there.
Operations::Awaitable<Result<void>> Operations::append(HandlePointer handle, Chunk data,
                                                       std::uint64_t expected,
                                                       task::Interrupt* interrupt) {
  const InodePointer inode = handle->inode;
  LockRequest lock;
  lock.file = derive(inode->key, DerivedKey::kAppend);
  lock.space = LockSpace::kFlock;
  lock.handle = HandleId{next_handle_++};
  lock.owner = OwnerId{lock.handle.value};
  lock.mode = LockMode::kExclusive;
  lock.wait = Wait::kYes;
  // Also if we are cancelled, also while we wait: else nobody could append any more.
  struct GiveBack {
    Operations& operations;
    ReleaseHandleRequest lock;
    ~GiveBack() { operations.start("append.end", operations.release_lost(lock)); }
  };
  const GiveBack give_back{*this, {.file = lock.file, .handle = lock.handle}};
  Reliance alone(under_way_);
  alone.on({inode->key, lock.file});
  const auto granted = co_await locks_.lock(lock, interrupt);
  if (!granted) co_return granted.error();
  if (alone.lost()) co_return errno_code(EIO);
  const auto written = co_await alone.send(write_at_end(handle, data, expected));
  co_return written;
}

Operations::Awaitable<Result<void>> Operations::write_at_end(HandlePointer handle, Chunk data,
                                                             std::uint64_t expected) {
  const InodePointer inode = handle->inode;
  const auto attributes = co_await attributes_now(inode, handle->who, Pinned::kYes);
  if (!attributes) co_return attributes.error();
  const std::uint64_t end = attributes->size;
  note_header_write(*inode, end, data.bytes());
  const auto writer = writer_of(inode);
  const auto written = co_await writer->write(handle->who, end, data);
  // The kernel put the data into its pages at the offset it believed in, and believes in that end.
  if (end != expected) {
    if (notifier_ != nullptr) inode->pages.begin_drop(*notifier_, inode->node);
    inode->kernel_size.forget();
  }
  co_return written;
}

Operations::Task Operations::fsync(DoneReply reply, NodeId, HandleId id) {
  const auto handle = find_handle(id);
  if (!handle) co_return reply.error(EBADF);
  const InodePointer inode = handle->inode;
  if (handle->poisoned) co_return reply.error(EIO);
  const auto writer = inode->writer;
  if (!writer) co_return reply.done();
  co_await locks_.wait_entitled();
  handle->unsent = false;
  const auto committed = co_await writer->commit(handle->who);
  const ErrorCode late = writer->take_error(handle->errors);
  if (!committed) co_return reply.error(committed.error());
  if (late) co_return reply.error(late);
  reply.done();
}

}  // namespace holdfast::fs
