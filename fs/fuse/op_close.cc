#include "fs/fuse/close_job.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/proc.h"
#include "holdfast/base/log.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {
/// A close() that was interrupted belongs to a process that wants to end.
constexpr std::chrono::seconds kInterruptedCloseWait{1};
}  // namespace

Operations::Task Operations::flush(DoneReply reply, NodeId, HandleId id, OwnerId owner, pid_t tid) {
  const auto handle = find_handle(id);
  if (!handle) co_return reply.error(EBADF);
  const InodePointer inode = handle->inode;
  const LockOwner holder{LockSpace::kRange, owner};
  // Under a token that nobody else has a close makes nothing visible: who wants to see it asks for
  // the token, and what is written is made stable then. But it is the last moment to tell this
  // program that the disk is full (nobody cares if the file has no name any more).
  const bool unstable =
      inode->dirty() && ((handle->unsent && !inode->silly) || generation(*inode) == 0);
  const bool work = inode->book().may_hold(holder) || unstable;
  if (!work) {
    ErrorCode error = take_poison(*handle);
    if (!error && inode->writer) error = inode->writer->take_error(handle->errors);
    if (error) co_return reply.error(error);
    co_return reply.done();
  }
  auto job = std::make_shared<CloseJob>(loop_);
  auto turn = inode->order.arrive();
  start("close.release", release_owner(inode, handle, owner, tid, std::move(turn), job));
  const bool ended = co_await ends_in_time(job, reply.interrupt());
  if (!ended) {
    log::warn("close.late", "node={} wait_ms={}", inode->node.value,
              options_.close_wait_max.count());
    co_return reply.done();
  }
  ErrorCode error = take_poison(*handle);
  if (!error) error = job->error;
  if (error) co_return reply.error(error);
  reply.done();
}

Operations::Awaitable<bool> Operations::ends_in_time(std::shared_ptr<CloseJob> job,
                                                     task::Interrupt* interrupt) {
  job->timer.expires_after(options_.close_wait_max);
  interrupt->on_request([job] {
    // Moving the expiry wakes the wait below, which then waits for the new time.
    if (!job->ended) job->timer.expires_after(kInterruptedCloseWait);
  });
  boost::system::error_code woken;
  while (!job->ended) {
    co_await job->timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    if (!woken) break;  // the time is over
  }
  interrupt->forget_listener();
  co_return job->ended;
}

Operations::Task Operations::release_owner(InodePointer inode, HandlePointer handle, OwnerId owner,
                                           pid_t tid, LockOrder::Turn turn,
                                           std::shared_ptr<CloseJob> job) {
  const JobEnd end(job);
  co_await turn.wait(loop_, nullptr);
  Result<void> committed;
  const bool exclusive = inode->book().holds_exclusive({LockSpace::kRange, owner});
  if (generation(*inode) == 0) {
    committed = co_await commit(inode, handle->who);
  } else if (exclusive) {
    co_await send_locked(inode);
  } else if (handle->unsent && !inode->silly) {
    (void)co_await send(inode, handle->who);  // an error is kept for the handles
  }
  handle->unsent = false;
  if (inode->writer) job->error = inode->writer->take_error(handle->errors);
  if (!committed) job->error = committed.error();
  if (exclusive) co_await publish_program(tid);
  if (inode->book().may_hold({LockSpace::kRange, owner})) {
    inode->own_book().drop_owner(owner);
    review_wal(*inode);
    ReleaseOwnerRequest request;
    request.file = inode->key;
    request.owner = owner;
    turn.leave();
    // Lost sessions have no locks left: nothing to tell the program beyond the poison.
    (void)co_await locks_.release_owner(request);
  }
}

Operations::Task Operations::release_handle(InodePointer inode, HandlePointer handle,
                                            LockOrder::Turn turn) {
  co_await turn.wait(loop_, nullptr);
  Result<void> committed;
  const bool exclusive = inode->book().exclusive_through(handle->id);
  if (generation(*inode) == 0) {
    committed = co_await commit(inode, handle->who);
  } else if (exclusive) {
    co_await send_locked(inode);
  }
  if (!committed && !handle->poisoned) {
    log::error("close.not_stable", "node={} error=\"{}\"", inode->node.value,
               committed.error().message());
  }
  if (exclusive) co_await publish_program(handle->locked_by);
  if (!inode->book().holds_through(handle->id)) co_return;
  inode->own_book().drop_handle(handle->id);
  review_wal(*inode);
  ReleaseHandleRequest request;
  request.file = inode->key;
  request.handle = handle->id;
  turn.leave();
  (void)co_await locks_.release_handle(request);
}

Operations::Task Operations::publish(InodePointer inode, pid_t tid) {
  if (inode->wal_index) co_return;
  if (generation(*inode) == 0) {
    if (notifier_ != nullptr) co_await inode->pages.drop(*notifier_, inode->node);
    co_await stable_or_lost(inode);
  } else {
    co_await send_locked(inode);
  }
  co_await publish_program(tid);
}

// Nobody else can see it yet, but a node that dies takes with it what it has not sent: programs
// that rely on locks alone, without fsync, would go on from an older state than they were told. An
// error is kept for the handles.
Operations::Task Operations::send_locked(InodePointer inode) {
  if (inode->dirty()) (void)co_await commit(inode, inode->writer->last_writer());
}

// What is not stable is sent again if the server restarts. A lock protects other files than its
// own: SQLite's journal, sent again after the database's lock has gone, would end up in the journal
// that another node writes by then. A program killed in a transaction closes its database first.
Operations::Task Operations::publish_program(pid_t tid) {
  sweep_unstable();
  if (unstable_.empty()) co_return;
  const auto program = process_of(tid);
  std::vector<InodePointer> its;
  for (const auto& inode : unstable_) {
    if (generation(*inode) != 0) continue;  // nobody can write it before it is stable
    const auto writer = process_of(inode->last_writer);
    if (!program || !writer || *program == *writer) its.push_back(inode);
  }
  for (const auto& inode : its)
    co_await stable_or_lost(inode);
}

}  // namespace holdfast::fs
