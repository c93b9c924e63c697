#include "fs/fuse/close_job.h"
#include "fs/fuse/convert.h"
#include "fs/fuse/operations.h"

#include <memory>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {
namespace {

/// LockBook::begin_request for as long as the answer is awaited.
class RequestMark {
 public:
  RequestMark(LockBook& book, LockOwner owner) : book_(&book), owner_(owner) {
    book.begin_request(owner);
  }
  RequestMark(const RequestMark&) = delete;
  RequestMark& operator=(const RequestMark&) = delete;
  ~RequestMark() { (void)end(); }
  Certainty end() {
    if (book_ == nullptr) return Certainty::kUnsure;
    return std::exchange(book_, nullptr)->end_request(owner_);
  }

 private:
  LockBook* book_;
  LockOwner owner_;
};

/// What all of them say.
template <class Request>
Request request_about(const Inode& inode, const LockCall& call) {
  Request request;
  request.file = inode.key;
  request.space = call.space;
  request.owner = call.owner;
  request.range = call.range;
  return request;
}

}  // namespace

Operations::Task Operations::setlk(DoneReply reply, NodeId, LockCall call) {
  const auto handle = find_handle(call.handle);
  if (!handle) co_return reply.error(EBADF);
  if (handle->poisoned) co_return reply.error(EIO);
  const InodePointer inode = handle->inode;
  const LockOwner owner{call.space, call.owner};
  auto turn = inode->order.arrive();
  RequestMark mark(inode->own_book(), owner);
  task::Interrupt* const interrupt = reply.interrupt();
  const bool our_turn = co_await turn.wait(loop_, interrupt);
  if (!our_turn) {
    if (call.space == LockSpace::kFlock)
      start("flock.interrupted", lose_converted(inode, call, std::move(turn)));
    co_return reply.error(EINTR);
  }
  if (handle->poisoned) co_return reply.error(EIO);
  if (weakens(*inode, call)) co_await publish(inode, call.tid);  // lets readers in
  const auto claimed = co_await claim_before(inode, call);
  if (!claimed) co_return reply.error(claimed.error());
  const bool held = inode->book().covers(owner, call.range);
  const auto granted = co_await lock_at_lockd(inode, call, turn, interrupt);
  // Held all the time: a flock that had to wait was not.
  const bool covered = held && inode->book().covers(owner, call.range);
  const Certainty certainty = mark.end();
  if (!granted) co_return reply.error(granted.error());
  note_granted(*handle, call, certainty);
  const auto ready = co_await after_grant(inode, handle, call, covered);
  if (!ready) {
    co_await give_back(inode, call);
    co_return reply.error(ready.error());
  }
  if (handle->poisoned) {  // lost while it was granted: of the session before or of the next one
    co_await give_back(inode, call);
    co_return reply.error(EIO);
  }
  reply.done();
}

LockRequest Operations::lock_request(const Inode& inode, const LockCall& call) {
  auto request = request_about<LockRequest>(inode, call);
  request.handle = call.handle;
  request.mode = call.mode;
  request.pid = call.pid;
  if (inode.wal_index) request.wal_database = inode.wal_index->database->key;
  return request;
}

UnlockRequest Operations::unlock_request(const Inode& inode, const LockCall& call) {
  return request_about<UnlockRequest>(inode, call);
}

bool Operations::weakens(const Inode& inode, const LockCall& call) {
  return call.mode == LockMode::kShared &&
         inode.book().holds_exclusive({call.space, call.owner}, call.range);
}

void Operations::note_granted(Handle& handle, const LockCall& call, Certainty certainty) {
  handle.inode->own_book().set({call.space, call.owner}, call.handle, call.range, call.mode,
                               certainty);
  if (call.mode == LockMode::kExclusive) handle.locked_by = call.tid;
}

void Operations::note_unlocked(Inode& inode, const LockCall& call) {
  inode.own_book().clear({call.space, call.owner}, call.range);
  review_wal(inode);
}

Operations::Awaitable<Result<Granted>> Operations::lock_at_lockd(InodePointer inode, LockCall call,
                                                                 LockOrder::Turn& turn,
                                                                 task::Interrupt* interrupt) {
  LockRequest request = lock_request(*inode, call);
  turn.leave();
  auto granted = co_await locks_.lock(request, interrupt);
  if (!granted && call.space == LockSpace::kFlock) conversion_failed(inode, call, granted.error());
  if (granted || granted.error() != LockErrc::kWouldBlock) co_return granted;
  if (call.wait == Wait::kNo) {
    if (lingers(*inode, call)) granted = co_await linger(*inode, request, interrupt);
    co_return granted;
  }
  // It has to wait, so now it matters whether the owner can be part of a deadlock. Only now, since
  // looking costs some microseconds and most locks are free.
  if (call.space == LockSpace::kRange) request.kind = co_await owner_kind(call.tid);
  request.wait = Wait::kYes;
  // What another thread locks through the same description meanwhile goes when this begins to wait.
  if (call.space == LockSpace::kFlock) inode->own_book().doubt({call.space, call.owner});
  granted = co_await locks_.lock(request, interrupt);
  co_return granted;
}

// What this mount decides alone is answered at once, as by a local file system. A wal-index is
// tried in order to learn who reads what, and a flock that waits is gone.
bool Operations::lingers(const Inode& inode, const LockCall& call) const {
  return options_.linger.count() > 0 && call.space == LockSpace::kRange && !inode.wal_index &&
         generation(inode) == 0;
}

// SQLite's busy handler sleeps longer than most transactions last, and whoever has just committed
// begins the next at once: without a place in the queue the other writer is seconds late. A reader
// that wants to write would keep the writer from his commit.
Operations::Awaitable<Result<Granted>> Operations::linger(const Inode& inode, LockRequest request,
                                                          task::Interrupt* interrupt) {
  const LockOwner owner{request.space, request.owner};
  const bool only_reads = inode.book().holds(owner) && !inode.book().holds_exclusive(owner);
  const auto end = std::make_shared<task::Interrupt>();  // the timer's callback may be late
  asio::steady_timer timer(loop_, options_.linger);
  timer.async_wait([end](const boost::system::error_code& cancelled) {
    if (!cancelled) end->request();
  });
  if (interrupt != nullptr) interrupt->on_request([end] { end->request(); });
  request.wait = Wait::kYes;
  request.kind = only_reads ? OwnerKind::kGivesWay : OwnerKind::kUnchecked;
  auto granted = co_await locks_.lock(request, end.get());
  if (interrupt != nullptr) interrupt->forget_listener();
  const bool stopped = interrupt != nullptr && interrupt->requested();
  if (!granted && granted.error() == LockErrc::kInterrupted && !stopped)
    co_return make_error_code(LockErrc::kWouldBlock);
  co_return granted;
}

// flock(2): "the existing lock is first removed, and then a new lock is established". Others may
// have had the file since, so neither the lock nor the pages read under it count any more.
void Operations::conversion_failed(InodePointer inode, const LockCall& call, ErrorCode error) {
  const LockOwner owner{call.space, call.owner};
  if (error == LockErrc::kWouldBlock) {
    inode->own_book().lost(owner);
    review_wal(*inode);
  } else {
    inode->own_book().doubt(owner);  // interrupted: lockd's verdict is not known
  }
}

// As LockClient does it with a request that has not left yet. In its turn: what was called before
// may still be about to unlock it, or to lock.
Operations::Task Operations::lose_converted(InodePointer inode, LockCall call,
                                            LockOrder::Turn turn) {
  co_await turn.wait(loop_, nullptr);
  const LockOwner owner{call.space, call.owner};
  const LockBook& book = inode->book();
  const bool same = book.holds_exclusive(owner) == (call.mode == LockMode::kExclusive);
  if (!book.may_hold(owner) || (same && book.covers(owner, call.range))) co_return;
  co_await unlock_at_lockd(inode, call, std::move(turn), std::make_shared<CloseJob>(loop_));
}

Operations::Awaitable<OwnerKind> Operations::owner_kind(pid_t tid) {
  constexpr int kLooksMax = 20;
  asio::steady_timer pause(loop_);
  for (int i = 0; i < kLooksMax; ++i) {
    if (const auto kind = owner_kind_of_blocked(tid)) co_return *kind;
    pause.expires_after(std::chrono::milliseconds(1));
    boost::system::error_code woken;
    co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  co_return OwnerKind::kUnchecked;
}

Operations::Awaitable<Result<void>> Operations::after_grant(InodePointer inode,
                                                            HandlePointer handle, LockCall call,
                                                            bool covered) {
  if (inode->wal_index) co_return Result<void>{};
  // Another node may have written while these bytes were not ours: what the kernel has read before
  // must go before the program goes on (I4).
  if (!covered) co_await renew_pages(inode);
  if (!is_database_lock(*inode, call)) co_return Result<void>{};
  const auto checked = co_await check_wal(inode, handle);
  co_return checked;
}

Operations::Awaitable<void> Operations::give_back(InodePointer inode, LockCall call) {
  note_unlocked(*inode, call);
  (void)co_await locks_.unlock(unlock_request(*inode, call));
}

Operations::Task Operations::unlock(DoneReply reply, NodeId, LockCall call) {
  const auto handle = find_handle(call.handle);
  if (!handle) co_return reply.error(EBADF);
  if (handle->poisoned) co_return reply.error(EIO);
  const InodePointer inode = handle->inode;
  if (!inode->book().may_hold({call.space, call.owner})) co_return reply.done();
  auto job = std::make_shared<CloseJob>(loop_);
  start("unlock", unlock_at_lockd(inode, call, inode->order.arrive(), job));
  const bool ended = co_await ends_in_time(job, reply.interrupt());
  if (ended && job->error) co_return reply.error(job->error);
  // Lost while what was written under it was on its way: that has been thrown away.
  if (handle->poisoned) co_return reply.error(EIO);
  reply.done();
}

Operations::Task Operations::unlock_at_lockd(InodePointer inode, LockCall call,
                                             LockOrder::Turn turn, std::shared_ptr<CloseJob> job) {
  const JobEnd end(job);
  co_await turn.wait(loop_, nullptr);
  const LockOwner owner{call.space, call.owner};
  if (inode->book().holds_exclusive(owner, call.range)) co_await publish(inode, call.tid);
  note_unlocked(*inode, call);
  turn.leave();
  const auto unlocked = co_await locks_.unlock(unlock_request(*inode, call));
  if (!unlocked) job->error = unlocked.error();
}

Operations::Task Operations::getlk(LockReply reply, NodeId, LockCall call) {
  const auto handle = find_handle(call.handle);
  if (!handle) co_return reply.error(EBADF);
  if (handle->poisoned) co_return reply.error(EIO);
  const InodePointer inode = handle->inode;
  auto job = std::make_shared<CloseJob>(loop_);
  start("query", query_at_lockd(inode, call, inode->order.arrive(), job));
  task::Interrupt* const interrupt = reply.interrupt();
  const bool ended = co_await ends_in_time(job, interrupt);
  if (!ended) co_return reply.error(interrupt->requested() ? EINTR : EAGAIN);
  if (job->error) co_return reply.error(job->error);
  reply.lock(to_flock(job->found.conflict));
}

Operations::Task Operations::query_at_lockd(InodePointer inode, LockCall call, LockOrder::Turn turn,
                                            std::shared_ptr<CloseJob> job) {
  const JobEnd end(job);
  co_await turn.wait(loop_, nullptr);
  auto request = request_about<QueryRequest>(*inode, call);
  request.mode = call.mode;
  turn.leave();
  const auto found = co_await locks_.query(request);
  if (found) {
    job->found = *found;
  } else {
    job->error = found.error();
  }
}

}  // namespace holdfast::fs
