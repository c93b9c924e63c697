#include "fs/fuse/notifier.h"

#include "holdfast/base/log.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace holdfast::fs {
namespace {
constexpr std::chrono::seconds kSlow{10};
}

Notifier::Notifier(boost::asio::any_io_executor loop, std::function<void(NodeId)> drop_pages)
    : loop_(std::move(loop)), drop_pages_(std::move(drop_pages)) {}

Notifier::~Notifier() {
  stop();
}

void Notifier::start() {
  for (std::size_t i = 0; i < kThreads; ++i)
    threads_.emplace_back([this] { work(); });
}

boost::asio::awaitable<void> Notifier::invalidate(NodeId node) {
  auto done = std::make_shared<task::Event>(loop_);
  boost::asio::steady_timer watchdog(loop_, kSlow);
  watchdog.async_wait([node](const boost::system::error_code& stopped) {
    if (!stopped) log::warn("notifier.slow", "node={} seconds={}", node.value, kSlow.count());
  });
  enqueue({node, done});
  co_await done->wait();
}

void Notifier::invalidate_later(NodeId node) {
  enqueue({node, nullptr});
}

void Notifier::enqueue(Job job) {
  {
    const std::lock_guard guard(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Notifier::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    const auto next = std::find_if(jobs_.begin(), jobs_.end(),
                                   [this](const Job& job) { return !busy_.contains(job.node); });
    if (stopping_) return;
    if (next == jobs_.end()) {
      wake_.wait(lock);
      continue;
    }
    Job job = std::move(*next);
    jobs_.erase(next);
    busy_.insert(job.node);
    lock.unlock();
    drop_pages_(job.node);
    if (job.done) {
      boost::asio::post(loop_, [done = std::move(job.done)] { done->set(); });
    }
    lock.lock();
    busy_.erase(job.node);
    // A job of the same inode may have been passed over by every other thread.
    if (!jobs_.empty()) wake_.notify_one();
  }
}

void Notifier::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
    jobs_.clear();
  }
  wake_.notify_all();
  for (auto& thread : threads_)
    thread.join();
  threads_.clear();
}

}  // namespace holdfast::fs
