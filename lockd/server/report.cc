#include "lockd/server/report.h"

#include "holdfast/base/log.h"
#include "lockd/server/peer.h"

namespace holdfast::lockd {

Report Server::report(const SnapshotLimits& limits) {
  const Instant now = lease_now();
  Report out{.status = coordinator_->status(),
             .now = coordinator_->snapshot(limits, now),
             .core = coordinator_->probe(),
             .server = probe_,
             .connections = peers_.size(),
             .strangers = strangers_.size(),
             .store_waiting = queue_.waiting(),
             .fences_running = fences_running_,
             .lease_ttl = options_.coordinator.lease_ttl};
  const Instant until = store_->authority_until();
  if (until != Instant::max()) out.authority_left = until - boot_time_now();
  return out;
}

}  // namespace holdfast::lockd
