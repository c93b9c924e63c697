#include "fs/fuse/operations.h"

namespace holdfast::fs {

Operations::Task Operations::lookup(EntryReply reply, Credentials who, NodeId parent,
                                    std::string name) {
  const auto directory = inodes_.find(parent);
  if (!directory) co_return reply.error(ESTALE);
  if (is_hidden(name)) co_return reply.error(ENOENT);
  co_await locks_.wait_entitled();
  if (wal_index_database(name)) {
    const auto found = co_await resolve_virtual(who, directory, name);
    if (!found) co_return reply.error(found.error());
    if (*found) {
      const InodePointer index = (*found)->index;
      if (!index) co_return reply.error(ENOENT);
      co_return answer_entry(reply, index, attributes_of(*index));
    }
  }
  const std::uint64_t flushed = budget_.flushed;
  const auto entry = co_await backend_.lookup(who, directory->handle, name);
  if (!entry) co_return reply.error(entry.error());
  const InodePointer inode = known(entry->handle, entry->attributes);
  const auto attributes = co_await attributes_of_name(inode, who, entry->attributes, flushed);
  if (!attributes) co_return reply.error(attributes.error());
  answer_entry(reply, inode, *attributes);
}

}  // namespace holdfast::fs
