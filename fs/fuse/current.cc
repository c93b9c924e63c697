// What is read from the storage, made what programs of this mount have written.
#include "fs/fuse/operations.h"
#include "holdfast/task/event.h"

#include <utility>

namespace holdfast::fs {
namespace {
/// Each needs another interruption of the storage.
constexpr int kRoundsMax = 16;
}  // namespace

struct Operations::Settling {
  explicit Settling(boost::asio::any_io_executor loop) : ended(std::move(loop)) {}
  task::Event ended;
  Result<void> result = errno_code(EIO);
};

Operations::Task Operations::settle_into(InodePointer inode, std::shared_ptr<Settling> settling) {
  const auto writer = inode->writer;
  if (writer) settling->result = co_await commit(inode, writer->last_writer());
  settling->ended.set();
}

// In the background: whoever reads may be killed, and the WRITEs must not be given up with it.
Operations::Awaitable<Result<void>> Operations::settle(InodePointer inode) {
  if (!inode->writer || !inode->writer->suspect()) co_return Result<void>{};
  const auto settling = std::make_shared<Settling>(loop_);
  start("write.settle", settle_into(inode, settling));
  co_await settling->ended.wait();
  co_return settling->result;
}

Operations::Awaitable<Result<ReadResult>> Operations::read_current(HandlePointer handle,
                                                                   std::uint64_t offset,
                                                                   std::uint32_t count) {
  const InodePointer inode = handle->inode;
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto settled = co_await settle(inode);
    if (!settled) co_return settled.error();
    const auto writer = inode->writer;
    if (!writer) {
      auto result = co_await backend_.read(handle->who, inode->handle, offset, count);
      co_return result;
    }
    // The kernel asks for a page that is being written if that page was dropped meanwhile.
    co_await writer->written(offset, offset + count);
    InodeWriter::Reading reading(*writer, offset, offset + count);
    auto result = co_await backend_.read(handle->who, inode->handle, offset, count);
    if (!result) co_return result;
    if (reading.outdated()) continue;
    reading.correct(result->data);
    co_return result;
  }
  co_return errno_code(EIO);
}

Operations::Awaitable<Result<Attributes>> Operations::attributes_now(InodePointer inode,
                                                                     Credentials who,
                                                                     Pinned pinned) {
  const auto ask = [&] {
    return pinned == Pinned::kYes && cache_ != nullptr ? cache_->getattr_within(who, inode->handle)
                                                       : backend_.getattr(who, inode->handle);
  };
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto settled = co_await settle(inode);
    if (!settled) co_return settled.error();
    const auto writer = inode->writer;
    if (!writer) {
      auto result = co_await ask();
      co_return result;
    }
    InodeWriter::Reading reading(*writer, 0, 0);
    auto result = co_await ask();
    if (!result) co_return result;
    if (reading.outdated()) continue;
    reading.correct(*result);
    co_return result;
  }
  co_return errno_code(EIO);
}

Operations::Awaitable<Result<Attributes>> Operations::attributes_of_name(InodePointer inode,
                                                                         Credentials who,
                                                                         Attributes found,
                                                                         std::uint64_t flushed) {
  const auto writer = inode->writer;
  if (!writer || !writer->flushed_since(flushed)) co_return found;
  auto now = co_await attributes_now(inode, std::move(who));
  co_return now;
}

void Operations::correct(const Inode& inode, Attributes& attributes) {
  if (inode.writer) InodeWriter::Reading(*inode.writer, 0, 0).correct(attributes);
}

Operations::Awaitable<Result<void>> Operations::flush_before_rename(Credentials who,
                                                                    InodePointer from,
                                                                    std::string name) {
  if (!write_behind_.any()) co_return Result<void>{};
  const auto entry = co_await backend_.lookup(who, from->handle, name);
  if (!entry) co_return entry.error();
  const InodePointer inode = inodes_.find(entry->handle);
  if (!inode || !inode->writer) co_return Result<void>{};
  const Credentials writer = inode->writer->last_writer();
  co_return co_await commit(inode, writer);
}

}  // namespace holdfast::fs
