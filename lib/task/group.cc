#include "holdfast/task/group.h"

#include "holdfast/base/assert.h"
#include "holdfast/base/log.h"

#include <exception>
#include <string>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::task {

Group::Group(asio::any_io_executor executor)
    : executor_(executor), idle_(executor, asio::steady_timer::time_point::max()) {}

Group::~Group() {
  HOLDFAST_ASSERT(running_.empty(), "a task group was destroyed before join()");
}

void Group::spawn(std::string_view name, asio::awaitable<void> work) {
  if (stopping_) return;
  const auto entry = running_.emplace(running_.end());
  auto finished = [this, entry, label = std::string(name)](std::exception_ptr failure) {
    running_.erase(entry);
    if (running_.empty()) idle_.cancel();
    if (!failure) return;
    try {
      std::rethrow_exception(failure);
    } catch (const boost::system::system_error& error) {
      if (error.code() != asio::error::operation_aborted) {
        log::error("task.failed", "task={} error=\"{}\"", label, error.what());
      }
    } catch (const std::exception& error) {
      log::error("task.failed", "task={} error=\"{}\"", label, error.what());
    }
  };
  asio::co_spawn(executor_, std::move(work),
                 asio::bind_cancellation_slot(entry->slot(), std::move(finished)));
}

void Group::cancel() {
  stopping_ = true;
  // A cancelled coroutine may finish, and erase its entry, inside emit().
  for (auto it = running_.begin(); it != running_.end();) {
    auto current = it++;
    current->emit(asio::cancellation_type::terminal);
  }
}

asio::awaitable<void> Group::join() {
  while (!running_.empty()) {
    boost::system::error_code woken;
    co_await idle_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
}

}  // namespace holdfast::task
