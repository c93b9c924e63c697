// Locks that this mount decides alone, with nothing to be done before or after: nearly all, under a
// token. They are answered in the call, since a coroutine costs more than the decision. Everything
// else goes the long way (op_locks.cc), to which each condition here stands for a step.
#include "fs/fuse/operations.h"

namespace holdfast::fs {

// Nobody is before it, and the file may be kept here; or it is a wal-index, and lockd has let this
// mount own it.
bool Operations::locks_are_ours(const Inode& inode) const {
  if (!inode.order.idle()) return false;
  return inode.wal_index ? inode.wal_index->database->wal.claimed : generation(inode) != 0;
}

// What claim_before(), renew_pages() and check_wal() would find nothing to do for.
bool Operations::ready_for_lock(const Inode& inode, const LockCall& call) const {
  if (inode.wal_index) return true;
  if (pages_need_renewal(inode)) return false;
  const WalState& wal = inode.wal;
  if (!is_database_lock(inode, call) || wal.claimed) return true;
  const bool current = wal.kept_under == 0 || wal.kept_under == generation(inode);
  return current && wal.journal == JournalKind::kRollback;
}

// What publish() would find nothing to do for.
bool Operations::nothing_to_publish(const Inode& inode) const {
  if (inode.wal_index) return true;
  return !inode.dirty() && unstable_.empty();
}

bool Operations::setlk_now(DoneReply& reply, const LockCall& call) {
  const auto handle = find_handle(call.handle);
  if (!handle || handle->poisoned || call.space != LockSpace::kRange) return false;
  Inode& inode = *handle->inode;
  const LockOwner owner{call.space, call.owner};
  if (!locks_are_ours(inode) || inode.book().asks(owner)) return false;
  if (weakens(inode, call) || !ready_for_lock(inode, call)) return false;
  LockRequest request = lock_request(inode, call);
  request.wait = call.wait;  // one that must wait is not decided
  const auto granted = locks_.lock_now(request);
  if (!granted) return false;
  if (!*granted) {
    reply.error(granted->error());
    return true;
  }
  note_granted(*handle, call, Certainty::kSure);
  if (is_database_lock(inode, call) && !inode.wal.claimed) inode.wal.kept_under = 0;
  reply.done();
  return true;
}

bool Operations::unlock_now(DoneReply& reply, const LockCall& call) {
  const auto handle = find_handle(call.handle);
  if (!handle || handle->poisoned) return false;
  Inode& inode = *handle->inode;
  const LockOwner owner{call.space, call.owner};
  if (!locks_are_ours(inode) || inode.book().asks(owner)) return false;
  if (inode.book().holds_exclusive(owner, call.range) && !nothing_to_publish(inode)) return false;
  if (inode.book().holds(owner)) {
    const auto unlocked = locks_.unlock_now(unlock_request(inode, call));
    if (!unlocked) return false;
    note_unlocked(inode, call);
    if (!*unlocked) {
      reply.error(unlocked->error());
      return true;
    }
  }
  reply.done();
  return true;
}

}  // namespace holdfast::fs
