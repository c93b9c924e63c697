#include "fs/fuse/operations.h"

namespace holdfast::fs {

Operations::Task Operations::read(DataReply reply, NodeId, HandleId id, std::uint64_t offset,
                                  std::uint32_t count) {
  const auto handle = find_handle(id);
  if (!handle) co_return reply.error(EBADF);
  if (handle->poisoned) co_return reply.error(kReadAfterLoss);
  Inode& inode = *handle->inode;
  if (inode.wal_index) co_return reply.data(inode.wal_index->content.read(offset, count));
  inode.pages.may_exist();
  co_await locks_.wait_entitled();
  const auto result = co_await read_current(handle, offset, count);
  if (!result) co_return reply.error(result.error());
  if (handle->poisoned) co_return reply.error(kReadAfterLoss);
  // The kernel takes the end of a short answer for the file's.
  if (result->data.size() < count) inode.kernel_size.told(offset + result->data.size());
  reply.data(std::span<const std::uint8_t>(result->data));
}

}  // namespace holdfast::fs
