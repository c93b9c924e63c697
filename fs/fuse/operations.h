#pragma once
/// What each FUSE request does: one coroutine per request, one source file per family.
///
/// Rules every operation keeps:
///  - nothing that touches the storage starts before LockService::wait_entitled() returned (I2);
///  - READ, WRITE, LOOKUP, READDIR and FLUSH never wait for the notifier: the kernel holds a page
///  or
///    a directory locked for them, and the notifier may wait for exactly that. Nor does whatever
///    the notifier's own threads ask;
///  - whatever orders requests (LockOrder, LockBook::begin_request, Inode::opens) is touched before
///    the first suspension, so that the kernel's order counts.
///
/// Thread: the loop. Lifetime: join() before destruction.

#include "fs/backend/backend.h"
#include "fs/cache/caching_backend.h"
#include "fs/core/cache_bound.h"
#include "fs/core/hidden_name.h"
#include "fs/fuse/caller.h"
#include "fs/fuse/calls.h"
#include "fs/fuse/filesystem.h"
#include "fs/fuse/inode.h"
#include "fs/fuse/kill_watch.h"
#include "fs/fuse/lost_holders.h"
#include "fs/fuse/notifier.h"
#include "fs/fuse/reply.h"
#include "fs/fuse/session.h"
#include "fs/io/write_behind.h"
#include "fs/lock/lock_service.h"
#include "holdfast/task/group.h"

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

namespace holdfast::fs {

struct CloseJob;

enum class Handled : std::uint8_t { kNo, kYes };
/// Whether the caller has the file's token pinned: then it must not wait for it once more.
enum class Pinned : bool { kNo, kYes };
enum class WithAttributes : bool { kNo, kYes };

class Operations {
 public:
  template <class T>
  using Awaitable = boost::asio::awaitable<T>;
  using Task = boost::asio::awaitable<void>;

  /// `cache`: the backend, if it keeps what tokens allow; else null.
  Operations(boost::asio::any_io_executor loop, Backend& backend, CachingBackend* cache,
             LockService& locks, const MountOptions& options);
  ~Operations();
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;

  void start(std::string_view name, Task operation) { group_.spawn(name, std::move(operation)); }
  /// An operation that changes nothing: given up when its caller is being killed.
  void start_look(std::string_view name, fuse_req_t request, Task operation) {
    group_.spawn(name, look(request, std::move(operation)));
  }
  /// An operation that changes the storage: ends with EIO if a lock that it may rely on is lost
  /// while it runs (I2).
  void start_change(std::string_view name, ChangeOf what, Task operation) {
    group_.spawn(name, change(what, std::move(operation)));
  }
  /// The program of this thread has lost a lock and not noticed yet: it changes nothing (I6).
  [[nodiscard]] bool lost_a_lock(pid_t tid) { return !losers_.empty() && losers_.include(tid); }
  /// Looks the root up, and sweeps its directory for strays in the background.
  Awaitable<Result<void>> prepare();
  /// Waits for everything that runs, cancels what has not ended after `patience`.
  Task finish(std::chrono::milliseconds patience);
  /// That the kernel remembers.
  [[nodiscard]] std::size_t inodes() const { return inodes_.size(); }
  void use(Notifier* notifier) { notifier_ = notifier; }
  /// As mountinfo names this mount: "0:53".
  void use_device(std::string device) { losers_.use_device(std::move(device)); }
  [[nodiscard]] CallerGroups& callers() { return callers_; }

  /// LockService's events.
  void suspended();
  void resumed();
  void lost();
  void lost_files(const std::vector<FileKey>& files);
  void tokens_lost(const std::vector<FileKey>& files);
  void drain(const Drain& drain);

  // op_lookup.cc
  Task lookup(EntryReply reply, Credentials who, NodeId parent, std::string name);
  // forget.cc
  void forget(NodeId node, std::uint64_t count);
  /// The same of many, with other requests in between.
  Task forget_all(std::vector<Forgotten> nodes);
  // op_attr.cc
  /// `through`: the kernel asks because of a read(2) or lseek(2) through this handle.
  /// `tid`: the thread that asks.
  Task getattr(AttrReply reply, Credentials who, NodeId node, std::optional<HandleId> through,
               pid_t tid);
  Task setattr(AttrReply reply, Credentials who, NodeId node, SetAttributes change,
               std::optional<HandleId> through);
  Task readlink(TextReply reply, Credentials who, NodeId node);
  Task statfs(StatfsReply reply, Credentials who);
  // op_open.cc
  Task open(OpenReply reply, Credentials who, NodeId node, fuse_file_info file);
  Task create(CreateReply reply, Credentials who, NodeId parent, std::string name, mode_t mode,
              fuse_file_info file);
  Task release(DoneReply reply, NodeId node, HandleId handle);
  // op_read.cc, op_write.cc
  Task read(DataReply reply, NodeId node, HandleId handle, std::uint64_t offset,
            std::uint32_t count);
  Task write(WrittenReply reply, WriteCall call, Chunk data);
  Task fsync(DoneReply reply, NodeId node, HandleId handle);
  // op_close.cc
  /// `tid`: the thread that closes.
  Task flush(DoneReply reply, NodeId node, HandleId handle, OwnerId owner, pid_t tid);
  // op_locks.cc
  Task getlk(LockReply reply, NodeId node, LockCall call);
  Task setlk(DoneReply reply, NodeId node, LockCall call);
  Task unlock(DoneReply reply, NodeId node, LockCall call);
  // lock_now.cc
  /// setlk() and unlock() where nothing has to be waited for. False: something has, and nothing has
  /// happened.
  [[nodiscard]] bool setlk_now(DoneReply& reply, const LockCall& call);
  [[nodiscard]] bool unlock_now(DoneReply& reply, const LockCall& call);
  // op_dir.cc
  Task opendir(OpenReply reply, Credentials who, NodeId node, fuse_file_info file);
  Task readdir(DataReply reply, NodeId node, HandleId handle, std::size_t size,
               std::uint64_t offset, fuse_req_t request, WithAttributes with);
  void releasedir(DoneReply reply, HandleId handle);
  // op_namespace.cc
  Task mkdir(EntryReply reply, Credentials who, NodeId parent, std::string name, mode_t mode);
  Task mknod(EntryReply reply, Credentials who, NodeId parent, std::string name, mode_t mode,
             dev_t device);
  Task symlink(EntryReply reply, Credentials who, std::string target, NodeId parent,
               std::string name);
  Task link(EntryReply reply, Credentials who, NodeId node, NodeId parent, std::string name);
  Task unlink(DoneReply reply, Credentials who, NodeId parent, std::string name);
  Task rmdir(DoneReply reply, Credentials who, NodeId parent, std::string name);
  Task rename(DoneReply reply, Credentials who, NodeId parent, std::string name, NodeId new_parent,
              std::string new_name, unsigned flags);

 private:
  struct OpenDirectory;
  /// A name that is not (only) the storage's business.
  struct Virtual {
    InodePointer index;     ///< the virtual file, if it exists
    InodePointer database;  ///< the file it belongs to
  };

  // operations.cc
  Task look(fuse_req_t request, Task operation);
  Task change(ChangeOf what, Task operation);
  void cancel_all();
  Task give_up_after(std::chrono::milliseconds patience);
  /// Everything written to `inode` made stable; the error is also kept for the handles.
  Awaitable<Result<void>> commit(InodePointer inode, Credentials who);
  /// Or sent at least.
  Awaitable<Result<void>> send(InodePointer inode, Credentials who);
  using WriterCall = Awaitable<Result<void>> (InodeWriter::*)(Credentials);
  Awaitable<Result<void>> bring(InodePointer inode, Credentials who, WriterCall how);
  Task bring_into(InodePointer inode, Credentials who, WriterCall how,
                  std::shared_ptr<Result<void>> result);

  // loss.cc
  using Inodes = std::set<InodePointer>;
  Task resume_when_entitled();
  Task release_lost(ReleaseHandleRequest request);
  [[nodiscard]] static bool lock_held_around(const Inode& inode);
  /// Kills the handles of `inodes`, on which locks were lost, and of whatever else their programs
  /// have written and not made stable.
  void poison(Inodes& inodes);
  void add_unstable_of_losers(Inodes& inodes);
  /// Ends what relied on the locks of `inodes`.
  void cancel_changes(const Inodes& inodes);
  /// A poisoned handle was closed.
  void review_losers();

  // kept.cc: what the kernel and we keep under a token
  /// Changes when what is kept of the inode becomes void; 0 = nothing may be kept.
  [[nodiscard]] std::uint64_t generation(const Inode& inode) const;
  /// Seconds for which the kernel may believe an inode's attributes, unless told otherwise.
  [[nodiscard]] double attributes_last(Inode& inode) const;
  /// The token of a change that takes more than one call to the storage, or waits for others of the
  /// same file: taken before anything else, so that whoever waits for it has it (T10).
  Awaitable<Result<TokenPin>> pin_for_change(InodePointer inode);
  /// The kernel's pages are as good as our token.
  [[nodiscard]] bool pages_are_kept(const Inode& inode) const;
  /// What renew_pages() has something to do for.
  [[nodiscard]] bool pages_need_renewal(const Inode& inode) const;
  /// Returns when the kernel has only pages that are as good as our token.
  Awaitable<void> renew_pages(InodePointer inode);
  /// Changed by somebody without a token: what the kernel has read of it under ours is void.
  void changed_elsewhere(const FileKey& file);
  /// Of these files, whose tokens are lost; empty: of all. Appends to them end.
  void drop_kept(const std::vector<FileKey>& files);
  /// Written under a token that lets nobody else write, and not known to be stable.
  [[nodiscard]] static bool unstable_under_token(const Inode& inode);
  Task drain_inode(InodePointer inode, Drain drain);
  Task drop_for(InodePointer inode, DropPages pages);
  [[nodiscard]] InodePointer find_key(const FileKey& file) const;

  // forget.cc
  /// The kernel is about to be told of `inode` once more.
  void looked_up(const InodePointer& inode);
  /// Nobody awaits it: it may take as long as a WRITE.
  Task give_back();
  /// Nobody holds the inode of this file any more.
  void gone(const FileKey& file);

  // inodes.cc: inodes, handles, answers
  [[nodiscard]] InodePointer known(const FileHandle& handle, const Attributes& attributes);
  [[nodiscard]] Attributes present(const Inode& inode, Attributes attributes) const;
  [[nodiscard]] static Attributes attributes_of(const Inode& virtual_file);
  [[nodiscard]] fuse_entry_param entry_param(Inode& inode, const Attributes& attributes) const;
  void answer_entry(EntryReply& reply, const InodePointer& inode, const Attributes& attributes);
  [[nodiscard]] HandlePointer find_handle(HandleId id) const;
  HandlePointer add_handle(InodePointer inode, Credentials who);
  [[nodiscard]] std::shared_ptr<InodeWriter> writer_of(const InodePointer& inode);
  /// EIO if the handle lost its locks; reported once where `once` (fsync, close).
  [[nodiscard]] static ErrorCode take_poison(Handle& handle);
  void last_close(const InodePointer& inode);

  // current.cc: the storage as programs have changed it
  /// backend.read() and getattr(), with what was written and may be missing there.
  Awaitable<Result<ReadResult>> read_current(HandlePointer handle, std::uint64_t offset,
                                             std::uint32_t count);
  Awaitable<Result<Attributes>> attributes_now(InodePointer inode, Credentials who,
                                               Pinned pinned = Pinned::kNo);
  /// The same of attributes that came with a name, when the storage was asked at `flushed`
  /// (WriteBudget::flushed).
  Awaitable<Result<Attributes>> attributes_of_name(InodePointer inode, Credentials who,
                                                   Attributes found, std::uint64_t flushed);
  /// Of what is known at this moment.
  static void correct(const Inode& inode, Attributes& attributes);
  struct Settling;
  Awaitable<Result<void>> settle(InodePointer inode);
  Task settle_into(InodePointer inode, std::shared_ptr<Settling> settling);
  /// What was written to `name` and waits is made stable: a rename over another file is how
  /// programs replace it, and after a crash one of the two must be there.
  Awaitable<Result<void>> flush_before_rename(Credentials who, InodePointer from, std::string name);

  // op_attr.cc
  /// Returns when the kernel has the size as the storage has it now, or newer.
  Task settle_size(InodePointer inode);

  // op_write.cc
  Awaitable<Result<void>> write_at_end(HandlePointer handle, Chunk data, std::uint64_t expected);
  Awaitable<Result<void>> append(HandlePointer handle, Chunk data, std::uint64_t expected,
                                 task::Interrupt* interrupt);
  static void forget_header(Inode& inode);
  void note_header_write(Inode& inode, std::uint64_t offset, std::span<const std::uint8_t> data);

  // op_close.cc
  /// False: it goes on in the background, but its caller has waited long enough.
  Awaitable<bool> ends_in_time(std::shared_ptr<CloseJob> job, task::Interrupt* interrupt);
  Task release_owner(InodePointer inode, HandlePointer handle, OwnerId owner, pid_t tid,
                     LockOrder::Turn turn, std::shared_ptr<CloseJob> job);
  Task release_handle(InodePointer inode, HandlePointer handle, LockOrder::Turn turn);
  /// Dirty mapped pages written, everything written made stable, also what the program of `tid` (0:
  /// any) has written elsewhere, or lost (stable_or_lost): before an exclusive lock is given up.
  Task publish(InodePointer inode, pid_t tid);
  Task send_locked(InodePointer inode);
  Task publish_program(pid_t tid);

  // unstable.cc
  /// Before a file, or the lock that protects it, is given to others: everything written to it is
  /// made stable. What cannot be is thrown away, or it would be sent again when it is theirs.
  Task stable_or_lost(InodePointer inode);
  void give_up_unwritten(const InodePointer& inode);
  /// Forgets those that are stable by now.
  void sweep_unstable();
  Task flush_all();

  // lock_now.cc
  [[nodiscard]] bool locks_are_ours(const Inode& inode) const;
  [[nodiscard]] bool ready_for_lock(const Inode& inode, const LockCall& call) const;
  [[nodiscard]] bool nothing_to_publish(const Inode& inode) const;

  // op_locks.cc
  [[nodiscard]] static LockRequest lock_request(const Inode& inode, const LockCall& call);
  [[nodiscard]] static UnlockRequest unlock_request(const Inode& inode, const LockCall& call);
  /// A downgrade of what was exclusive: to be published first.
  [[nodiscard]] static bool weakens(const Inode& inode, const LockCall& call);
  static void note_granted(Handle& handle, const LockCall& call, Certainty certainty);
  void note_unlocked(Inode& inode, const LockCall& call);
  Task unlock_at_lockd(InodePointer inode, LockCall call, LockOrder::Turn turn,
                       std::shared_ptr<CloseJob> job);
  Task query_at_lockd(InodePointer inode, LockCall call, LockOrder::Turn turn,
                      std::shared_ptr<CloseJob> job);
  /// A try that failed may wait for a moment: MountOptions::linger.
  [[nodiscard]] bool lingers(const Inode& inode, const LockCall& call) const;
  Awaitable<Result<Granted>> linger(const Inode& inode, LockRequest request,
                                    task::Interrupt* interrupt);
  /// See owner_kind_of_blocked(); waits until the thread sleeps.
  Awaitable<OwnerKind> owner_kind(pid_t tid);
  Awaitable<Result<Granted>> lock_at_lockd(InodePointer inode, LockCall call, LockOrder::Turn& turn,
                                           task::Interrupt* interrupt);
  Awaitable<Result<void>> after_grant(InodePointer inode, HandlePointer handle, LockCall call,
                                      bool covered);
  Awaitable<void> give_back(InodePointer inode, LockCall call);
  void conversion_failed(InodePointer inode, const LockCall& call, ErrorCode error);
  /// Of a flock that was interrupted while it waited for its turn.
  Task lose_converted(InodePointer inode, LockCall call, LockOrder::Turn turn);

  // op_wal.cc
  [[nodiscard]] static bool is_database_lock(const Inode& inode, const LockCall& call);
  Awaitable<Result<void>> claim_wal(InodePointer database);
  Awaitable<Result<void>> claim_before(InodePointer inode, const LockCall& call);
  Awaitable<Result<void>> check_wal(InodePointer inode, HandlePointer handle);
  /// After a lock of `inode` went away: what do we still know and own?
  void review_wal(Inode& inode);
  Awaitable<Result<std::optional<Virtual>>> resolve_virtual(Credentials who, InodePointer parent,
                                                            std::string name);
  Awaitable<Result<InodePointer>> create_virtual(Credentials who, InodePointer parent,
                                                 std::string name, mode_t mode,
                                                 InodePointer database);
  void unlink_virtual(Inode& index);
  [[nodiscard]] std::vector<InodePointer> virtual_files_in(const FileHandle& directory) const;

  // op_namespace.cc
  /// kYes: a wal-index was involved and the rename is done.
  Awaitable<Result<Handled>> rename_virtual(Credentials who, InodePointer parent, std::string name,
                                            InodePointer new_parent, std::string new_name);

  // silly.cc
  Awaitable<Result<void>> ensure_life();
  [[nodiscard]] std::string next_silly_name();
  /// The file at `name` if this mount has it open and this is its last name.
  Awaitable<Result<InodePointer>> open_target(Credentials who, InodePointer parent,
                                              std::string name);
  /// Before `name` is renamed over `new_name`: a hidden name for the file there.
  Awaitable<Result<void>> keep_replaced(Credentials who, InodePointer from, std::string name,
                                        InodePointer to, std::string new_name,
                                        InodePointer replaced);
  Awaitable<void> undo_keep(InodePointer replaced, Credentials who, InodePointer to,
                            std::string new_name);
  Task remove_silly(SillyPlace place);
  Task clean_stray(FileHandle directory, Credentials who, std::string name);
  Task sweep_directory(FileHandle directory, Credentials who);
  Awaitable<bool> remove_strays(FileHandle directory, Credentials who);
  void stray_seen(const FileHandle& directory, const Credentials& who, const std::string& name);

  // op_dir.cc
  Awaitable<Result<void>> fill(std::shared_ptr<OpenDirectory> directory, std::uint64_t offset);
  Awaitable<bool> visible(Credentials who, InodePointer parent, const DirectoryEntry& entry);
  void listing_loops(const Inode& directory, std::uint64_t cookie);

  boost::asio::any_io_executor loop_;
  Backend& backend_;
  CachingBackend* cache_;
  FileWrites& writes_;  ///< for writers: whoever writes or truncates has pinned the token
  LockService& locks_;
  const MountOptions& options_;
  Notifier* notifier_ = nullptr;
  CallerGroups callers_;
  WriteBudget budget_;
  WriteBehind write_behind_;
  InodeTable<Inode> inodes_;
  CacheBound cache_bound_;
  std::size_t gone_ = 0;  // since memory was given back
  std::unordered_map<HandleId, HandlePointer> handles_;
  std::set<InodePointer> unstable_;  ///< at least those with something that is not stable
  std::size_t sweep_unstable_at_ = 64;
  std::unordered_map<HandleId, std::shared_ptr<OpenDirectory>> directories_;
  std::map<std::pair<std::string, std::string>, InodePointer> virtual_;  // directory bytes, name
  std::uint64_t next_handle_ = 1;
  std::uint64_t life_ = 0;
  bool life_locked_ = false;
  std::uint64_t next_silly_ = 1;
  std::size_t stray_checks_ = 0;
  std::uint64_t listing_loops_ = 0;  // met
  struct RunningChange {
    ChangeOf of;
    boost::asio::cancellation_signal signal;
  };
  std::list<RunningChange> changes_;
  Reliances under_way_;  ///< appends, and whoever waits for a token
  std::list<std::shared_ptr<KillWatch>> looks_;
  LostHolders losers_;
  task::Group group_;
};

}  // namespace holdfast::fs
