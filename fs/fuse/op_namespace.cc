#include "fs/fuse/convert.h"
#include "fs/fuse/operations.h"

#include <sys/sysmacros.h>

namespace holdfast::fs {
namespace {

constexpr std::uint32_t kModeBits = 07777;

/// Names nobody may make: ours, and those of wal-indexes (they are made by CREATE only).
bool is_reserved_for_us(const std::string& name) {
  return is_hidden(name);
}

}  // namespace

Operations::Task Operations::mkdir(EntryReply reply, Credentials who, NodeId parent,
                                   std::string name, mode_t mode) {
  const auto directory = inodes_.find(parent);
  if (!directory) co_return reply.error(ESTALE);
  if (is_reserved_for_us(name)) co_return reply.error(EACCES);
  co_await locks_.wait_entitled();
  SetAttributes initial;
  initial.mode = mode & kModeBits;
  const auto entry = co_await backend_.mkdir(who, directory->handle, name, initial);
  if (!entry) co_return reply.error(entry.error());
  answer_entry(reply, known(entry->handle, entry->attributes), entry->attributes);
}

Operations::Task Operations::mknod(EntryReply reply, Credentials who, NodeId parent,
                                   std::string name, mode_t mode, dev_t device) {
  const auto directory = inodes_.find(parent);
  if (!directory) co_return reply.error(ESTALE);
  if (is_reserved_for_us(name)) co_return reply.error(EACCES);
  co_await locks_.wait_entitled();
  SetAttributes initial;
  initial.mode = mode & kModeBits;
  Result<Entry> entry = errno_code(EINVAL);
  if (const auto type = special_type(mode)) {
    entry = co_await backend_.mknod(who, directory->handle, name, *type, initial, major(device),
                                    minor(device));
  } else if (S_ISREG(mode)) {
    // mknod(2) of a regular file fails if the name exists, like O_EXCL.
    entry = co_await backend_.create(who, directory->handle, name, CreateMode::kExclusive, initial);
  }
  if (!entry) co_return reply.error(entry.error());
  answer_entry(reply, known(entry->handle, entry->attributes), entry->attributes);
}

Operations::Task Operations::symlink(EntryReply reply, Credentials who, std::string target,
                                     NodeId parent, std::string name) {
  const auto directory = inodes_.find(parent);
  if (!directory) co_return reply.error(ESTALE);
  if (is_reserved_for_us(name)) co_return reply.error(EACCES);
  co_await locks_.wait_entitled();
  const auto entry = co_await backend_.symlink(who, directory->handle, name, target);
  if (!entry) co_return reply.error(entry.error());
  answer_entry(reply, known(entry->handle, entry->attributes), entry->attributes);
}

Operations::Task Operations::link(EntryReply reply, Credentials who, NodeId node, NodeId parent,
                                  std::string name) {
  const auto inode = inodes_.find(node);
  const auto directory = inodes_.find(parent);
  if (!inode || !directory) co_return reply.error(ESTALE);
  if (is_reserved_for_us(name)) co_return reply.error(EACCES);
  if (inode->wal_index) co_return reply.error(EPERM);
  co_await locks_.wait_entitled();
  const auto attributes = co_await backend_.link(who, inode->handle, directory->handle, name);
  if (!attributes) co_return reply.error(attributes.error());
  answer_entry(reply, inode, *attributes);
}

Operations::Task Operations::unlink(DoneReply reply, Credentials who, NodeId parent,
                                    std::string name) {
  const auto directory = inodes_.find(parent);
  if (!directory) co_return reply.error(ESTALE);
  if (is_hidden(name)) co_return reply.error(ENOENT);
  co_await locks_.wait_entitled();
  if (wal_index_database(name)) {
    const auto found = co_await resolve_virtual(who, directory, name);
    if (!found) co_return reply.error(found.error());
    if (*found) {
      if (!(*found)->index) co_return reply.error(ENOENT);
      unlink_virtual(*(*found)->index);
      co_return reply.done();
    }
  }
  const auto open_here = co_await open_target(who, directory, name);
  if (!open_here) co_return reply.error(open_here.error());
  if (const InodePointer inode = *open_here) {
    const auto alive = co_await ensure_life();
    if (!alive) co_return reply.error(alive.error());
    SillyPlace place{directory->handle, next_silly_name(), who};
    const auto moved =
        co_await backend_.rename(who, directory->handle, name, directory->handle, place.name);
    if (!moved) co_return reply.error(moved.error());
    inode->silly = std::make_unique<SillyPlace>(std::move(place));
    last_close(inode);  // it may have been closed meanwhile
    co_return reply.done();
  }
  const auto removed = co_await backend_.remove(who, directory->handle, name);
  if (!removed) co_return reply.error(removed.error());
  reply.done();
}

Operations::Task Operations::rmdir(DoneReply reply, Credentials who, NodeId parent,
                                   std::string name) {
  const auto directory = inodes_.find(parent);
  if (!directory) co_return reply.error(ESTALE);
  co_await locks_.wait_entitled();
  auto removed = co_await backend_.rmdir(who, directory->handle, name);
  const bool not_empty = !removed && (removed.error() == errno_code(ENOTEMPTY) ||
                                      removed.error() == errno_code(EEXIST));
  if (not_empty) {
    // What is left may be files that a dead mount had open: nobody can see or remove them.
    const auto entry = co_await backend_.lookup(who, directory->handle, name);
    if (entry) {
      const bool emptied = co_await remove_strays(entry->handle, who);
      if (emptied) removed = co_await backend_.rmdir(who, directory->handle, name);
    }
  }
  if (!removed) co_return reply.error(removed.error());
  reply.done();
}

// A wal-index moves nowhere: renamed away or onto, it is dropped. It holds nothing that SQLite does
// not rebuild, and it must never reach the storage.
Operations::Awaitable<Result<Handled>> Operations::rename_virtual(Credentials who,
                                                                  InodePointer parent,
                                                                  std::string name,
                                                                  InodePointer new_parent,
                                                                  std::string new_name) {
  const auto from = co_await resolve_virtual(who, parent, name);
  if (!from) co_return from.error();
  if (*from) {
    if (!(*from)->index) co_return errno_code(ENOENT);
    unlink_virtual(*(*from)->index);
    co_return Handled::kYes;
  }
  const auto to = co_await resolve_virtual(who, new_parent, new_name);
  if (!to) co_return to.error();
  if (!*to) co_return Handled::kNo;
  const auto removed = co_await backend_.remove(who, parent->handle, name);
  if (!removed) co_return removed.error();
  co_return Handled::kYes;
}

Operations::Task Operations::rename(DoneReply reply, Credentials who, NodeId parent,
                                    std::string name, NodeId new_parent, std::string new_name,
                                    unsigned flags) {
  const auto from = inodes_.find(parent);
  const auto to = inodes_.find(new_parent);
  if (!from || !to) co_return reply.error(ESTALE);
  // RENAME_NOREPLACE and RENAME_EXCHANGE: NFSv3 has neither, and a check before the rename would be
  // no promise. EINVAL is what rename(2) documents for it; callers fall back.
  if (flags != 0) co_return reply.error(EINVAL);
  if (is_hidden(name)) co_return reply.error(ENOENT);
  if (is_reserved_for_us(new_name)) co_return reply.error(EACCES);
  co_await locks_.wait_entitled();
  if (wal_index_database(name) || wal_index_database(new_name)) {
    const auto done = co_await rename_virtual(who, from, name, to, new_name);
    if (!done) co_return reply.error(done.error());
    if (*done == Handled::kYes) co_return reply.done();
  }
  const auto flushed = co_await flush_before_rename(who, from, name);
  if (!flushed) co_return reply.error(flushed.error());
  const auto open_here = co_await open_target(who, to, new_name);
  if (!open_here) co_return reply.error(open_here.error());
  const InodePointer replaced = *open_here;
  if (replaced) {
    const auto kept = co_await keep_replaced(who, from, name, to, new_name, replaced);
    if (!kept) co_return reply.error(kept.error());
  }
  const auto renamed = co_await backend_.rename(who, from->handle, name, to->handle, new_name);
  if (replaced && replaced->silly) {
    if (!renamed) co_await undo_keep(replaced, who, to, new_name);
    last_close(replaced);
  }
  if (!renamed) co_return reply.error(renamed.error());
  reply.done();
}

}  // namespace holdfast::fs
