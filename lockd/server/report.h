#pragma once
/// All that the status page and metrics tell of a server that serves. Plain data: made by the
/// loop's thread, given to another.

#include "lockd/core/coordinator.h"
#include "lockd/server/server.h"

#include <cstddef>

namespace holdfast::lockd {

struct Report {
  Status status;
  Snapshot now;
  Probe core;  ///< since this life began, as the next
  Server::Probe server;
  std::size_t connections = 0;
  std::size_t strangers = 0;      ///< of these, without Hello
  std::size_t store_waiting = 0;  ///< effects that wait for the store
  std::size_t fences_running = 0;
  Duration lease_ttl{0};
  Duration authority_left = Duration::max();  ///< replicas: until this lockd may act
};

}  // namespace holdfast::lockd
