#include "fs/fuse/lock_order.h"

#include <utility>

namespace holdfast::fs {

LockOrder::Turn::Turn(Turn&& other) noexcept
    : order_(std::exchange(other.order_, nullptr)), place_(other.place_) {}

boost::asio::awaitable<bool> LockOrder::Turn::wait(boost::asio::any_io_executor executor,
                                                   task::Interrupt* interrupt) {
  while (order_->queue_.begin() != place_) {
    if (interrupt != nullptr && interrupt->requested()) co_return false;
    auto& wake = *place_;
    wake.emplace(executor);
    if (interrupt != nullptr) interrupt->on_request([&wake] { wake->set(); });
    co_await wake->wait();
    if (interrupt != nullptr) interrupt->forget_listener();
  }
  co_return true;
}

void LockOrder::Turn::leave() {
  if (order_ == nullptr) return;
  auto& queue = std::exchange(order_, nullptr)->queue_;
  const bool was_first = queue.begin() == place_;
  queue.erase(place_);
  if (was_first && !queue.empty() && queue.front()) queue.front()->set();
}

}  // namespace holdfast::fs
