#include "fs/fuse/convert.h"
#include "fs/fuse/operations.h"

#include <sys/statvfs.h>

namespace holdfast::fs {
namespace {

bool same_time(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/// chmod, chown and truncate of a wal-index; times stay as they are (WalIndex::born).
Result<void> change_virtual(WalIndex& index, const SetAttributes& change) {
  if (change.size) {
    if (auto resized = index.content.resize(*change.size); !resized) return resized.error();
  }
  if (change.mode) index.mode = *change.mode;
  if (change.uid) index.uid = *change.uid;
  if (change.gid) index.gid = *change.gid;
  return {};
}

}  // namespace

Operations::Task Operations::getattr(AttrReply reply, Credentials who, NodeId node,
                                     std::optional<HandleId> through, pid_t tid) {
  const auto inode = inodes_.find(node);
  if (!inode) co_return reply.error(ESTALE);
  // Each read(2) asks first (attributes_last() is 0 while a handle is poisoned). So that one reads
  // nothing from the kernel's pages either, whoever put them there.
  const auto handle = through ? find_handle(*through) : nullptr;
  if (handle && handle->poisoned) co_return reply.error(kReadAfterLoss);
  if (inode->wal_index) co_return reply.attributes(to_stat(attributes_of(*inode)), 0);
  // Pages of a token that is gone may still be there: the read(2) that asks must not see them.
  const bool asks_for_us = notifier_ != nullptr && notifier_->is_own_thread(tid);
  if (through && !asks_for_us) co_await inode->pages.dropped();
  co_await locks_.wait_entitled();
  const auto attributes = co_await attributes_now(inode, who);
  if (!attributes) co_return reply.error(attributes.error());
  if (through && !asks_for_us) co_await inode->pages.dropped();  // the answer may have begun one
  if (handle && handle->poisoned) co_return reply.error(kReadAfterLoss);
  const bool new_to_kernel = !inode->kernel_size.is(attributes->size);
  if (new_to_kernel && notifier_ != nullptr && !asks_for_us) {
    // Whoever has it open may read on the strength of this answer.
    if (inode->opens > 0 && inode->type == FileType::kRegular) {
      co_await settle_size(inode);
      if (handle && handle->poisoned) co_return reply.error(kReadAfterLoss);
    }
    inode->kernel_size.told(attributes->size);
  }
  Attributes shown = present(*inode, *attributes);
  double last = attributes_last(*inode);
  // Another mtime makes the kernel drop its pages. But whoever reads has them changed by our own
  // writes only, and wants the size. stat(2) is told, and asks anew after such an answer.
  if (through && pages_are_kept(*inode) && inode->kernel_mtime) {
    if (!same_time(*inode->kernel_mtime, shown.mtime)) last = 0;
    shown.mtime = *inode->kernel_mtime;
  }
  inode->kernel_mtime = shown.mtime;
  reply.attributes(to_stat(shown), last);
}

Operations::Task Operations::settle_size(InodePointer inode) {
  KernelSize& kernel = inode->kernel_size;
  if (kernel.known()) kernel.forget();
  const auto since = kernel.mark();
  const auto adopted = co_await notifier_->adopt_size(inode->node);
  if (adopted) kernel.adopted(*adopted, since);
}

Operations::Task Operations::setattr(AttrReply reply, Credentials who, NodeId node,
                                     SetAttributes change, std::optional<HandleId> through) {
  const auto inode = inodes_.find(node);
  if (!inode) co_return reply.error(ESTALE);
  const auto handle = through ? find_handle(*through) : nullptr;
  if (handle && handle->poisoned && change.size) co_return reply.error(EIO);
  if (inode->wal_index) {
    const auto changed = change_virtual(*inode->wal_index, change);
    if (!changed) co_return reply.error(changed.error());
    co_return reply.attributes(to_stat(attributes_of(*inode)), 0);
  }
  const auto pinned = co_await pin_for_change(inode);
  if (!pinned) co_return reply.error(pinned.error());
  if (handle && handle->poisoned && change.size) co_return reply.error(EIO);
  // ftruncate was allowed by open(), not by who calls now.
  if (handle && change.size) who = handle->who;
  // Through the writer, so that no repeated write brings back what is cut off.
  Result<Attributes> attributes = errno_code(EIO);
  const auto writer = inode->writer;
  if (change.size && writer) {
    attributes = co_await writer->truncate(who, change);
  } else {
    // What waits may be forbidden after a chmod, and would move the times that are set now. An
    // error is kept for the handles.
    if (writer) (void)co_await commit(inode, writer->last_writer());
    std::optional<InodeWriter::Reading> reading;
    if (writer) reading.emplace(*writer, 0, 0);
    attributes = co_await backend_.setattr(who, inode->handle, change);
    if (attributes && reading) reading->correct(*attributes);
  }
  if (!attributes) co_return reply.error(attributes.error());
  if (change.size) {
    inode->kernel_size.set(attributes->size);
  } else {
    inode->kernel_size.told(attributes->size);
  }
  const Attributes shown = present(*inode, *attributes);
  inode->kernel_mtime = shown.mtime;
  reply.attributes(to_stat(shown), attributes_last(*inode));
}

Operations::Task Operations::readlink(TextReply reply, Credentials who, NodeId node) {
  const auto inode = inodes_.find(node);
  if (!inode) co_return reply.error(ESTALE);
  co_await locks_.wait_entitled();
  const auto target = co_await backend_.readlink(who, inode->handle);
  if (!target) co_return reply.error(target.error());
  reply.text(*target);
}

Operations::Task Operations::statfs(StatfsReply reply, Credentials who) {
  co_await locks_.wait_entitled();
  const auto found = co_await backend_.fsstat(who);
  if (!found) co_return reply.error(found.error());
  constexpr unsigned long kUnit = 4096;
  struct statvfs out {};
  out.f_bsize = kUnit;
  out.f_frsize = kUnit;
  out.f_blocks = found->total_bytes / kUnit;
  out.f_bfree = found->free_bytes / kUnit;
  out.f_bavail = found->available_bytes / kUnit;
  out.f_files = found->total_files;
  out.f_ffree = found->free_files;
  out.f_favail = found->available_files;
  out.f_namemax = backend_.limits().name_max;
  reply.statfs(out);
}

}  // namespace holdfast::fs
