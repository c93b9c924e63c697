#include "fs/fuse/notifier.h"

#include "holdfast/base/log.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <unistd.h>

namespace holdfast::fs {
namespace {
constexpr std::chrono::seconds kSlow{10};
constexpr NodeId kNoNode{};  // what is about all of them waits for the jobs of none
}  // namespace

struct Notifier::Outcome {
  explicit Outcome(const boost::asio::any_io_executor& loop) : done(loop), watchdog(loop, kSlow) {}
  task::Event done;
  boost::asio::steady_timer watchdog;
  std::optional<std::uint64_t> size;
};

Notifier::Notifier(boost::asio::any_io_executor loop, Calls calls)
    : loop_(std::move(loop)), calls_(std::move(calls)) {}

Notifier::~Notifier() {
  stop();
}

void Notifier::start() {
  threads_.emplace_back([this] { work(Role::kAttributes); });
  for (std::size_t i = 0; i < kThreads; ++i)
    threads_.emplace_back([this] { work(Role::kMayBeStuck); });
}

std::shared_ptr<task::Event> Notifier::drop(NodeId node) {
  const auto outcome = enqueue(node, Kind::kDropPages);
  return {outcome, &outcome->done};
}

std::shared_ptr<task::Event> Notifier::drop_attributes(NodeId node) {
  const auto outcome = enqueue(node, Kind::kDropAttributes);
  return {outcome, &outcome->done};
}

std::shared_ptr<task::Event> Notifier::give_back() {
  const auto outcome = enqueue(kNoNode, Kind::kGiveBack);
  return {outcome, &outcome->done};
}

boost::asio::awaitable<std::optional<std::uint64_t>> Notifier::adopt_size(NodeId node) {
  const auto outcome = enqueue(node, Kind::kAdoptSize);
  co_await outcome->done.wait();
  co_return outcome->size;
}

bool Notifier::is_own_thread(pid_t tid) {
  const std::lock_guard guard(mutex_);
  return tids_.contains(tid);
}

std::shared_ptr<Notifier::Outcome> Notifier::enqueue(NodeId node, Kind kind) {
  std::shared_ptr<Outcome> outcome;
  {
    const std::lock_guard guard(mutex_);
    // The inode's last job does for us, too, if it is the same and has not begun.
    const auto last = std::find_if(jobs_.rbegin(), jobs_.rend(),
                                   [node](const Job& job) { return job.node == node; });
    if (last != jobs_.rend() && last->kind == kind) return last->outcome;
    outcome = std::make_shared<Outcome>(loop_);
    jobs_.push_back({node, kind, outcome});
    if (short_of_threads()) threads_.emplace_back([this] { work(Role::kMayBeStuck); });
  }
  wake_.notify_all();
  outcome->watchdog.async_wait([node](const boost::system::error_code& stopped) {
    if (!stopped) log::warn("notifier.slow", "node={} seconds={}", node.value, kSlow.count());
  });
  return outcome;
}

void Notifier::run(const Job& job) {
  switch (job.kind) {
    case Kind::kDropPages:
      return calls_.drop_pages(job.node);
    case Kind::kAdoptSize:
      job.outcome->size = calls_.adopt_size(job.node);
      return;
    case Kind::kDropAttributes:
      return calls_.drop_attributes(job.node);
    case Kind::kGiveBack:
      return calls_.give_back();
  }
}

bool Notifier::takes(Role role, const Job& job) const {
  if (job.kind == Kind::kDropAttributes) return role == Role::kAttributes;
  return role == Role::kMayBeStuck && !busy_.contains(job.node);
}

bool Notifier::short_of_threads() const {
  if (threads_.empty() || threads_.size() > kThreadsMax) return false;
  const auto ready = std::count_if(
      jobs_.begin(), jobs_.end(), [this](const Job& job) { return takes(Role::kMayBeStuck, job); });
  return static_cast<std::size_t>(ready) > idle_;
}

void Notifier::work(Role role) {
  std::unique_lock lock(mutex_);
  tids_.insert(::gettid());
  while (true) {
    const auto next =
        std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return takes(role, job); });
    if (stopping_) return;
    if (next == jobs_.end()) {
      const bool counts = role == Role::kMayBeStuck;
      if (counts) ++idle_;
      wake_.wait(lock);
      if (counts) --idle_;
      continue;
    }
    Job job = std::move(*next);
    jobs_.erase(next);
    if (role == Role::kMayBeStuck) busy_.insert(job.node);
    lock.unlock();
    run(job);
    const NodeId node = job.node;
    // Events and timers belong to the loop, their end too.
    boost::asio::post(loop_, [outcome = std::move(job.outcome)] {
      outcome->watchdog.cancel();
      outcome->done.set();
    });
    lock.lock();
    if (role == Role::kMayBeStuck) busy_.erase(node);
    // A job of the same inode may have been passed over by every other thread.
    if (!jobs_.empty()) wake_.notify_all();
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
