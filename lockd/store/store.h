#pragma once
/// lockd's stable storage. Implementations: a SQLite file (default), memory (embedded in one mount:
/// the sessions die with it).
///
/// Thread: the loop that built it; every method resumes there. Order: writes become durable in the
/// order of the calls; a caller awaits one before it starts the next. Errors: a write that failed
/// changed nothing, or its outcome is unknown; it may be repeated (all changes are idempotent).

#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/wire/start_failure.h"
#include "lockd/core/records.h"

#include <chrono>
#include <functional>

#include <boost/asio/awaitable.hpp>

namespace holdfast::lockd {

class Store {
 public:
  using Opened = boost::system::result<Recovered, wire::StartFailure>;

  virtual ~Store() = default;

  /// Reads everything, begins a new epoch and makes it durable together with `lease_ttl`. Waits
  /// while another lockd is the active one (replicas). Refuses a store that is torn, foreign,
  /// read-only, full, of a newer format, or in use: StartFailure says which and what to do.
  virtual boost::asio::awaitable<Opened> open(std::chrono::milliseconds lease_ttl) = 0;
  /// All changes, durably, in one transaction.
  virtual boost::asio::awaitable<Result<void>> write(StoreChanges changes) = 0;
  /// Until when this process may act on the store's behalf, by boot_time_now(): for ever
  /// (Instant::max()) where nobody else can become the active lockd.
  [[nodiscard]] virtual Instant authority_until() const { return Instant::max(); }
  /// Ends everything; a write that runs ends first.
  virtual boost::asio::awaitable<void> close() = 0;
};

}  // namespace holdfast::lockd
