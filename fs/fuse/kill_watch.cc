#include "fs/fuse/kill_watch.h"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

#include <boost/asio/post.hpp>

namespace holdfast::fs {
namespace {
/// The interrupt may have told of a harmless signal, and there is only one: look again.
constexpr std::chrono::milliseconds kLookAgain{500};
}  // namespace

bool is_being_killed(pid_t tid) {
  if (tid <= 0) return false;
  std::ifstream file("/proc/" + std::to_string(tid) + "/status");
  const std::string key = "SigPnd:";  // of the thread; ShdPnd is the process's
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const std::uint64_t pending = std::strtoull(line.c_str() + key.size(), nullptr, 16);
    return (pending >> (SIGKILL - 1) & 1U) != 0;
  }
  return false;
}

void KillWatch::watch(fuse_req_t request) {
  tid_ = fuse_req_ctx(request)->pid;
  fuse_req_interrupt_func(request, &KillWatch::interrupted, this);
}

// Called by libfuse with its request's lock held.
void KillWatch::interrupted(fuse_req_t, void* self) {
  auto watch = static_cast<KillWatch*>(self)->shared_from_this();
  boost::asio::post(watch->timer_.get_executor(), [watch] { watch->look(); });
}

void KillWatch::look() {
  if (ended_) return;
  if (is_being_killed(tid_)) return cancel();
  timer_.expires_after(kLookAgain);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& stopped) {
    if (!stopped) self->look();
  });
}

void KillWatch::end() {
  ended_ = true;
  timer_.cancel();
}

}  // namespace holdfast::fs
