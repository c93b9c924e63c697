#include "fs/fuse/dispatch.h"

#include "fs/fuse/convert.h"
#include "fs/fuse/operations.h"

#include <sys/file.h>

namespace holdfast::fs {
namespace {

SessionUser& user(fuse_req_t request) {
  return *static_cast<SessionUser*>(fuse_req_userdata(request));
}
Operations& ops(fuse_req_t request) {
  return *user(request).operations;
}
Credentials caller(fuse_req_t request) {
  return ops(request).callers().credentials(request);
}
HandleId handle_of(const fuse_file_info* file) {
  return HandleId{file->fh};
}

/// A program that relied on a lost lock changes nothing, until it has closed the file (I6).
bool refused(fuse_req_t r) {
  if (!ops(r).lost_a_lock(fuse_req_ctx(r)->pid)) return false;
  fuse_reply_err(r, EIO);
  return true;
}

ChangeOf change_of(fuse_req_t r, fuse_ino_t node) {
  ChangeOf out;
  out.node = NodeId{node};
  out.tid = fuse_req_ctx(r)->pid;
  return out;
}

void on_init(void* userdata, fuse_conn_info* connection) {
  static_cast<SessionUser*>(userdata)->session->init(connection);
}

void on_lookup(fuse_req_t r, fuse_ino_t parent, const char* name) {
  ops(r).start_look("lookup", r, ops(r).lookup(EntryReply(r), caller(r), NodeId{parent}, name));
}

void on_forget(fuse_req_t r, fuse_ino_t node, std::uint64_t count) {
  ops(r).forget(NodeId{node}, count);
  fuse_reply_none(r);
}

void on_forget_multi(fuse_req_t r, size_t count, fuse_forget_data* forgets) {
  std::vector<Forgotten> nodes;
  nodes.reserve(count);
  for (size_t i = 0; i < count; ++i)
    nodes.push_back({NodeId{forgets[i].ino}, forgets[i].nlookup});
  ops(r).start("forget", ops(r).forget_all(std::move(nodes)));
  fuse_reply_none(r);
}

std::optional<HandleId> handle_if_any(const fuse_file_info* file) {
  return file != nullptr ? std::optional(handle_of(file)) : std::nullopt;
}

void on_getattr(fuse_req_t r, fuse_ino_t node, fuse_file_info* file) {
  ops(r).start_look("getattr", r,
                    ops(r).getattr(AttrReply(r), caller(r), NodeId{node}, handle_if_any(file),
                                   fuse_req_ctx(r)->pid));
}

void on_setattr(fuse_req_t r, fuse_ino_t node, struct stat* wanted, int valid,
                fuse_file_info* file) {
  if (refused(r)) return;
  ops(r).start_change("setattr", change_of(r, node),
                      ops(r).setattr(AttrReply(r), caller(r), NodeId{node},
                                     to_set_attributes(*wanted, valid), handle_if_any(file)));
}

void on_readlink(fuse_req_t r, fuse_ino_t node) {
  ops(r).start_look("readlink", r, ops(r).readlink(TextReply(r), caller(r), NodeId{node}));
}

void on_mknod(fuse_req_t r, fuse_ino_t parent, const char* name, mode_t mode, dev_t device) {
  if (refused(r)) return;
  ops(r).start_change("mknod", change_of(r, parent),
                      ops(r).mknod(EntryReply(r), caller(r), NodeId{parent}, name, mode, device));
}

void on_mkdir(fuse_req_t r, fuse_ino_t parent, const char* name, mode_t mode) {
  if (refused(r)) return;
  ops(r).start_change("mkdir", change_of(r, parent),
                      ops(r).mkdir(EntryReply(r), caller(r), NodeId{parent}, name, mode));
}

void on_unlink(fuse_req_t r, fuse_ino_t parent, const char* name) {
  if (refused(r)) return;
  ops(r).start_change("unlink", change_of(r, parent),
                      ops(r).unlink(DoneReply(r), caller(r), NodeId{parent}, name));
}

void on_rmdir(fuse_req_t r, fuse_ino_t parent, const char* name) {
  if (refused(r)) return;
  ops(r).start_change("rmdir", change_of(r, parent),
                      ops(r).rmdir(DoneReply(r), caller(r), NodeId{parent}, name));
}

void on_symlink(fuse_req_t r, const char* target, fuse_ino_t parent, const char* name) {
  if (refused(r)) return;
  ops(r).start_change("symlink", change_of(r, parent),
                      ops(r).symlink(EntryReply(r), caller(r), target, NodeId{parent}, name));
}

void on_rename(fuse_req_t r, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
               const char* new_name, unsigned flags) {
  if (refused(r)) return;
  ops(r).start_change("rename", change_of(r, parent),
                      ops(r).rename(DoneReply(r), caller(r), NodeId{parent}, name,
                                    NodeId{new_parent}, new_name, flags));
}

void on_link(fuse_req_t r, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  if (refused(r)) return;
  ops(r).start_change("link", change_of(r, node),
                      ops(r).link(EntryReply(r), caller(r), NodeId{node}, NodeId{parent}, name));
}

void on_open(fuse_req_t r, fuse_ino_t node, fuse_file_info* file) {
  ops(r).start_look("open", r, ops(r).open(OpenReply(r), caller(r), NodeId{node}, *file));
}

void on_create(fuse_req_t r, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* file) {
  if (refused(r)) return;
  ops(r).start_change("create", change_of(r, parent),
                      ops(r).create(CreateReply(r), caller(r), NodeId{parent}, name, mode, *file));
}

void on_read(fuse_req_t r, fuse_ino_t node, size_t size, off_t offset, fuse_file_info* file) {
  ops(r).start_look(
      "read", r,
      ops(r).read(DataReply(r), NodeId{node}, handle_of(file), static_cast<std::uint64_t>(offset),
                  static_cast<std::uint32_t>(size)));
}

void on_write(fuse_req_t r, fuse_ino_t node, const char* data, size_t size, off_t offset,
              fuse_file_info* file) {
  WriteCall call;
  call.node = NodeId{node};
  call.handle = handle_of(file);
  call.offset = static_cast<std::uint64_t>(offset);
  // Pages written back have their place; only write(2) appends.
  call.append = (file->flags & O_APPEND) != 0 && file->writepage == 0;
  call.tid = file->writepage == 0 ? fuse_req_ctx(r)->pid : 0;
  if (call.tid != 0 && refused(r)) return;
  ChangeOf what = change_of(r, node);
  what.tid = call.tid;
  ops(r).start_change(
      "write", what,
      ops(r).write(WrittenReply(r), call, user(r).session->take_payload(data, size)));
}

void on_flush(fuse_req_t r, fuse_ino_t node, fuse_file_info* file) {
  ops(r).start("flush", ops(r).flush(DoneReply(r), NodeId{node}, handle_of(file),
                                     OwnerId{file->lock_owner}, fuse_req_ctx(r)->pid));
}

void on_release(fuse_req_t r, fuse_ino_t node, fuse_file_info* file) {
  ops(r).start("release", ops(r).release(DoneReply(r), NodeId{node}, handle_of(file)));
}

void on_fsync(fuse_req_t r, fuse_ino_t node, int, fuse_file_info* file) {
  if (refused(r)) return;
  ops(r).start_change("fsync", change_of(r, node),
                      ops(r).fsync(DoneReply(r), NodeId{node}, handle_of(file)));
}

void on_opendir(fuse_req_t r, fuse_ino_t node, fuse_file_info* file) {
  ops(r).start("opendir", ops(r).opendir(OpenReply(r), caller(r), NodeId{node}, *file));
}

void on_readdir(fuse_req_t r, fuse_ino_t node, size_t size, off_t offset, fuse_file_info* file) {
  ops(r).start_look("readdir", r,
                    ops(r).readdir(DataReply(r), NodeId{node}, handle_of(file), size,
                                   static_cast<std::uint64_t>(offset), r, WithAttributes::kNo));
}

void on_readdirplus(fuse_req_t r, fuse_ino_t node, size_t size, off_t offset,
                    fuse_file_info* file) {
  ops(r).start_look("readdirplus", r,
                    ops(r).readdir(DataReply(r), NodeId{node}, handle_of(file), size,
                                   static_cast<std::uint64_t>(offset), r, WithAttributes::kYes));
}

void on_releasedir(fuse_req_t r, fuse_ino_t, fuse_file_info* file) {
  ops(r).releasedir(DoneReply(r), handle_of(file));
}

void on_fsyncdir(fuse_req_t r, fuse_ino_t, int, fuse_file_info*) {
  fuse_reply_err(r, 0);  // every change of a directory is stable at the storage before its answer
}

void on_statfs(fuse_req_t r, fuse_ino_t) {
  ops(r).start_look("statfs", r, ops(r).statfs(StatfsReply(r), caller(r)));
}

void on_ioctl(fuse_req_t r, fuse_ino_t, unsigned, void*, fuse_file_info*, unsigned, const void*,
              size_t, size_t) {
  fuse_reply_err(r, ENOTTY);  // libfuse's default, ENOSYS, reaches applications on older kernels
}

LockCall lock_call(fuse_req_t r, const fuse_file_info* file, LockSpace space) {
  LockCall call;
  call.space = space;
  call.owner = OwnerId{file->lock_owner};
  call.handle = handle_of(file);
  call.tid = fuse_req_ctx(r)->pid;
  call.pid = static_cast<std::uint32_t>(call.tid);
  return call;
}

void on_getlk(fuse_req_t r, fuse_ino_t node, fuse_file_info* file, struct flock* lock) {
  const auto range = to_range(*lock);
  if (!range) {
    fuse_reply_err(r, EINVAL);
    return;
  }
  LockCall call = lock_call(r, file, LockSpace::kRange);
  call.range = *range;
  call.mode = lock->l_type == F_WRLCK ? LockMode::kExclusive : LockMode::kShared;
  ops(r).start("getlk", ops(r).getlk(LockReply(r), NodeId{node}, call));
}

void set_lock(fuse_req_t r, fuse_ino_t node, const LockCall& call) {
  DoneReply reply(r);
  if (ops(r).setlk_now(reply, call)) return;
  ops(r).start("setlk", ops(r).setlk(std::move(reply), NodeId{node}, call));
}

void clear_lock(fuse_req_t r, fuse_ino_t node, const LockCall& call) {
  DoneReply reply(r);
  if (ops(r).unlock_now(reply, call)) return;
  ops(r).start("unlock", ops(r).unlock(std::move(reply), NodeId{node}, call));
}

void on_setlk(fuse_req_t r, fuse_ino_t node, fuse_file_info* file, struct flock* lock, int sleep) {
  const auto range = to_range(*lock);
  if (!range) {
    fuse_reply_err(r, EINVAL);
    return;
  }
  LockCall call = lock_call(r, file, LockSpace::kRange);
  call.range = *range;
  if (lock->l_type == F_UNLCK) {
    clear_lock(r, node, call);
    return;
  }
  call.mode = lock->l_type == F_WRLCK ? LockMode::kExclusive : LockMode::kShared;
  call.wait = sleep != 0 ? Wait::kYes : Wait::kNo;
  if (lock->l_pid > 0) call.pid = static_cast<std::uint32_t>(lock->l_pid);
  set_lock(r, node, call);
}

void on_flock(fuse_req_t r, fuse_ino_t node, fuse_file_info* file, int op) {
  LockCall call = lock_call(r, file, LockSpace::kFlock);
  if ((op & LOCK_UN) != 0) {
    clear_lock(r, node, call);
    return;
  }
  call.mode = (op & LOCK_EX) != 0 ? LockMode::kExclusive : LockMode::kShared;
  call.wait = (op & LOCK_NB) != 0 ? Wait::kNo : Wait::kYes;
  set_lock(r, node, call);
}

}  // namespace

// Not here on purpose: xattrs, fallocate, copy_file_range, lseek. libfuse answers ENOSYS once, the
// kernel remembers that and from then on answers EOPNOTSUPP or emulates without asking us.
fuse_lowlevel_ops operation_table() {
  fuse_lowlevel_ops table{};
  table.init = on_init;
  table.lookup = on_lookup;
  table.forget = on_forget;
  table.forget_multi = on_forget_multi;
  table.getattr = on_getattr;
  table.setattr = on_setattr;
  table.readlink = on_readlink;
  table.mknod = on_mknod;
  table.mkdir = on_mkdir;
  table.unlink = on_unlink;
  table.rmdir = on_rmdir;
  table.symlink = on_symlink;
  table.rename = on_rename;
  table.link = on_link;
  table.open = on_open;
  table.create = on_create;
  table.read = on_read;
  table.write = on_write;
  table.flush = on_flush;
  table.release = on_release;
  table.fsync = on_fsync;
  table.opendir = on_opendir;
  table.readdir = on_readdir;
  table.readdirplus = on_readdirplus;
  table.releasedir = on_releasedir;
  table.fsyncdir = on_fsyncdir;
  table.statfs = on_statfs;
  table.ioctl = on_ioctl;
  table.getlk = on_getlk;
  table.setlk = on_setlk;
  table.flock = on_flock;
  return table;
}

}  // namespace holdfast::fs
