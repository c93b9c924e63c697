#include "fs/io/write_behind.h"

#include <algorithm>
#include <utility>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {

WriteBehind::WriteBehind(asio::any_io_executor executor, WriteBudget& budget,
                         std::function<asio::awaitable<void>()> entitled, Options options)
    : budget_(budget),
      entitled_(std::move(entitled)),
      options_(options),
      flushed_(executor),
      timer_(executor),
      group_(executor) {}

void WriteBehind::dirty(std::shared_ptr<DirtyFile> file) {
  if (!std::exchange(file->listed_, true))
    files_.push_back({file, std::chrono::steady_clock::now()});
  if (cancelled_) return;
  if (!sending_ && to_send(*file)) {
    sending_ = std::move(file);
    group_.spawn("write.ahead", send_ahead());
  }
  if (!std::exchange(running_, true)) return group_.spawn("write.behind", run());
  if (due()) timer_.cancel();
}

void WriteBehind::clean(DirtyFile& file) {
  if (!std::exchange(file.listed_, false)) return;
  files_.remove_if([&](const Entry& entry) { return entry.file.get() == &file; });
  if (files_.empty()) timer_.cancel();
}

bool WriteBehind::due() const {
  if (files_.empty()) return false;
  const bool short_of_room = !waiting_.empty() && !budget_.fits(*waiting_.rbegin());
  return ending_ || short_of_room || budget_.uncommitted_bytes > options_.background_at ||
         files_.front().since + options_.age_max <= std::chrono::steady_clock::now();
}

asio::awaitable<void> WriteBehind::run() {
  // Also when it is cancelled: nobody may wait for it then.
  struct End {
    WriteBehind& of;
    ~End() {
      of.running_ = false;
      of.flushing_.reset();
      of.flushed_.notify();
    }
  };
  const End end{*this};
  boost::system::error_code woken;
  while (!files_.empty()) {
    if (!due()) {
      timer_.expires_at(files_.front().since + options_.age_max);
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
      continue;
    }
    co_await entitled_();
    if (files_.empty()) break;
    flushing_ = files_.front().file;
    co_await flushing_->flush();
    clean(*flushing_);  // also if it could not: the next fsync or close tries again
    flushing_.reset();
    flushed_.notify();
  }
}

bool WriteBehind::to_send(const DirtyFile& file) const {
  return file.waiting() >= options_.send_at;
}

// One file at a time: another has its turn with its next write, or when it is flushed.
asio::awaitable<void> WriteBehind::send_ahead() {
  struct End {
    WriteBehind& of;
    ~End() { of.sending_.reset(); }
  };
  const End end{*this};
  while (to_send(*sending_)) {
    co_await entitled_();
    co_await sending_->send();
  }
}

asio::awaitable<void> WriteBehind::make_room(std::uint64_t bytes) {
  if (budget_.fits(bytes)) co_return;
  ++budget_.budget_reached;
  struct Waiting {
    std::multiset<std::uint64_t>& all;
    std::multiset<std::uint64_t>::iterator own;
    ~Waiting() { all.erase(own); }
  };
  const Waiting waiting{waiting_, waiting_.insert(bytes)};
  while (!budget_.fits(bytes) && running_) {
    timer_.cancel();
    co_await flushed_.wait();
  }
}

asio::awaitable<void> WriteBehind::join() {
  ending_ = true;
  timer_.cancel();
  co_await group_.join();
}

void WriteBehind::cancel() {
  cancelled_ = true;
  if (flushing_) flushing_->stop_sending();
  if (sending_) sending_->stop_sending();
  group_.cancel();
}

}  // namespace holdfast::fs
