#include "fs/io/range_order.h"

#include "holdfast/base/assert.h"

namespace holdfast::fs {

RangeOrder::~RangeOrder() {
  HOLDFAST_ASSERT(places_.empty(), "a file's writer was destroyed while a write ran");
}

RangeOrder::Turn::Turn(RangeOrder& order, std::uint64_t start, std::uint64_t end)
    : order_(order), place_(order.places_.insert(order.places_.end(), {start, end})) {}

RangeOrder::Turn::~Turn() {
  order_.places_.erase(place_);
  order_.changed_.notify();
}

bool RangeOrder::first(std::uint64_t start, std::uint64_t end,
                       std::list<std::pair<std::uint64_t, std::uint64_t>>::iterator own) const {
  for (auto it = places_.begin(); it != own; ++it) {
    if (it->first < end && start < it->second) return false;
  }
  return true;
}

boost::asio::awaitable<void> RangeOrder::Turn::wait() {
  while (!order_.first(place_->first, place_->second, place_)) {
    co_await order_.changed_.wait();
  }
}

}  // namespace holdfast::fs
