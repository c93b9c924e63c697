#pragma once
/// The mount's view of the coordinator: locks, and the right to act at all.
///
/// Implementations: LockClient (over the wire to holdfast-lockd); tests may put lockd's core behind
/// it directly.
///
/// Thread: the loop.
/// Order: requests take effect at lockd in the order of the calls to these methods; the message is
/// queued before the first suspension. Calls survive reconnects and are executed exactly once.
/// Outage: while lockd is unreachable calls wait. Only lock() can be interrupted; it then answers
/// kInterrupted at once, and a grant that crosses is given back in the background. Loss: when lockd
/// no longer knows the session, Listener::lost runs, pending calls end with kSessionLost, and a new
/// session is opened; the caller poisons every handle that held a lock (I6). When it gave away the
/// locks of some files, Listener::lost names them, and pending lock() calls on them end with
/// kLockLost. A session that held nothing and asked for nothing is replaced unnoticed.

#include "holdfast/base/result.h"
#include "holdfast/lock/message.h"
#include "holdfast/task/interrupt.h"

#include <functional>
#include <vector>

#include <boost/asio/awaitable.hpp>

namespace holdfast::fs {

/// What a mount lost at lockd. `everything`: the session is gone, with all its locks. Else `files`:
/// all locks of this mount on them were given away; the session goes on with the rest.
struct Loss {
  bool everything = false;
  std::vector<FileKey> files;
};

class LockService {
 public:
  template <class T>
  using Awaitable = boost::asio::awaitable<Result<T>>;

  virtual ~LockService() = default;

  /// `interrupt` may be null (nothing will interrupt); else it outlives the call.
  virtual Awaitable<Granted> lock(LockRequest request, task::Interrupt* interrupt) = 0;
  virtual Awaitable<void> unlock(UnlockRequest request) = 0;
  virtual Awaitable<QueryResult> query(QueryRequest request) = 0;
  virtual Awaitable<void> release_owner(ReleaseOwnerRequest request) = 0;
  virtual Awaitable<void> release_handle(ReleaseHandleRequest request) = 0;
  virtual Awaitable<void> claim_wal(ClaimWalRequest request) = 0;

  /// The mount may act: it has a session whose deadline has not passed.
  [[nodiscard]] virtual bool entitled() const = 0;
  /// Returns when entitled() (at once if it is). Every operation that reads or changes the storage
  /// awaits this first.
  virtual boost::asio::awaitable<void> wait_entitled() = 0;

  /// `suspended`: the deadline passed without an acknowledged renewal, nothing may leave any more.
  /// `resumed`: back, all locks kept. `lost`: locks are gone, see Loss; runs before the next
  /// session is entitled, before `resumed`, and before any call that ends because of it.
  struct Listener {
    std::function<void()> suspended;
    std::function<void()> resumed;
    std::function<void(const Loss&)> lost;
  };
  virtual void listen(Listener listener) = 0;
};

}  // namespace holdfast::fs
