// How the session is, for whoever looks at the mount from outside.
#include "fs/lock/lock_client.h"
#include "fs/state/state.h"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace holdfast::fs {
namespace {

std::uint64_t ms_of(Instant instant) {
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(instant.time_since_epoch());
  return static_cast<std::uint64_t>(std::max<std::int64_t>(ms.count(), 0));
}

}  // namespace

// LeaseClock is CLOCK_BOOTTIME here, as the page's times are.
void LockClient::tell_state() {
  if (options_.state == nullptr) return;
  state::Page& page = options_.state->page();
  const std::uint64_t now = ms_of(boot_time_now());
  page.beat = now;
  page.session = session_.value_or(SessionId{}).value;
  page.epoch = core_.epoch().value;
  page.entitled_until = ms_of(core_.deadline());
  const bool entitled = this->entitled();
  if (entitled) page.suspended_since = 0;
  if (!entitled && page.suspended_since == 0) page.suspended_since = now;
  const bool connected = connection_ != nullptr && !connection_->closed() && core_.greeted();
  if (connected && page.connected_since == 0) {
    page.connected_since = now;
    page.disconnected_since = 0;
    page.lockd_error = 0;
  }
  if (!connected && page.disconnected_since == 0) {
    page.connected_since = 0;
    page.disconnected_since = now;
  }
  if (!connected && unreachable_) page.lockd_error = static_cast<unsigned>(to_errno(*unreachable_));
  page.locks = core_.locks();
  page.tokens = core_.agent() ? core_.agent()->size() : 0;
  page.lockd_calls = core_.open_calls();
}

}  // namespace holdfast::fs
