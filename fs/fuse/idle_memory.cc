#include "fs/fuse/idle_memory.h"

#include "holdfast/base/memory.h"

#include <chrono>

namespace holdfast::fs {
namespace {
/// Less is not worth the milliseconds.
constexpr std::uint64_t kWorthIt = 8ULL << 20;
/// Longer than what was written waits to be made stable.
constexpr std::chrono::seconds kIdle{6};
}  // namespace

void IdleMemory::used(std::size_t bytes) {
  used_ += bytes;
  if (used_ >= kWorthIt && !waiting_) wait();
}

void IdleMemory::wait() {
  waiting_ = true;
  timer_.expires_after(kIdle);
  timer_.async_wait([this, before = used_](const boost::system::error_code& stopped) {
    if (stopped) return;  // and perhaps destroyed
    if (used_ != before) return wait();
    return_freed_memory();
    used_ = 0;
    waiting_ = false;
  });
}

}  // namespace holdfast::fs
