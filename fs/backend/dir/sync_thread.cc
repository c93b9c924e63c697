#include "fs/backend/dir/sync_thread.h"

#include "holdfast/task/event.h"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::fs::dir {

struct SyncThread::State {
  explicit State(asio::any_io_executor on) : executor(on), idle(on), pool(kThreads) { idle.set(); }
  asio::any_io_executor executor;
  task::Event idle;
  std::size_t running = 0;
  asio::thread_pool pool;
};

namespace {

int sync_now(int fd) {
  int result = 0;
  do {
    result = ::fdatasync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

}  // namespace

SyncThread::SyncThread(asio::any_io_executor executor)
    : state_(std::make_unique<State>(std::move(executor))) {}

SyncThread::~SyncThread() {
  state_->pool.join();
}

asio::awaitable<Result<void>> SyncThread::sync(int fd) {
  UniqueFd own(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) co_return errno_code(errno);
  ++state_->running;
  state_->idle.clear();
  // The answer travels through the loop's executor; nothing of ours is touched on the other thread.
  auto start = [this](auto handler, int to_sync) {
    auto work = asio::make_work_guard(state_->executor);
    asio::post(state_->pool,
               [handler = std::move(handler), work = std::move(work), to_sync]() mutable {
                 const int failed = sync_now(to_sync);
                 const auto loop = work.get_executor();
                 asio::post(loop, [handler = std::move(handler), failed]() mutable {
                   std::move(handler)(failed);
                 });
               });
  };
  const int failed = co_await asio::async_initiate<decltype(asio::use_awaitable), void(int)>(
      start, asio::use_awaitable, own.get());
  if (--state_->running == 0) state_->idle.set();
  if (failed != 0) co_return errno_code(failed);
  co_return Result<void>();
}

asio::awaitable<void> SyncThread::stop() {
  co_await state_->idle.wait();
}

}  // namespace holdfast::fs::dir
