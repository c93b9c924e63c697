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

#include "fs/token/urgency.h"
#include "holdfast/base/result.h"
#include "holdfast/lock/message.h"
#include "holdfast/task/interrupt.h"

#include <cstdint>
#include <functional>
#include <optional>
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

  // Tokens (docs/tokens.md). With tokens off every file is CW, and nothing is ever asked.

  /// At once, if the token is here and the mount entitled. Each success is followed by unpin().
  [[nodiscard]] virtual std::optional<TokenMode> try_pin(const FileKey& file, TokenUse use,
                                                         Urgency urgency) = 0;
  virtual Awaitable<TokenMode> pin(FileKey file, TokenUse use, Urgency urgency,
                                   task::Interrupt* interrupt) = 0;
  virtual void unpin(const FileKey& file) = 0;
  /// Flushed and dropped, as Listener::drain has asked. `in_use`: open here.
  virtual void drained(const FileKey& file, std::uint64_t round, bool in_use) = 0;
  /// `file` was made in `directory`, whose token is exclusive: its own is implied.
  virtual void created(const FileKey& directory, const FileKey& file) = 0;
  /// Nobody here uses it any more: its token may go when there are too many.
  virtual void forgotten(const FileKey& file) = 0;
  /// What was kept under one number is good under the same number. 0: nothing may be kept now,
  /// because of the mode or because the token is being given up.
  [[nodiscard]] virtual std::uint64_t token_generation(const FileKey& file) const = 0;

  /// `suspended`: the deadline passed without an acknowledged renewal, nothing may leave any more.
  /// `resumed`: back, all locks kept. `lost`: locks are gone, see Loss; runs before the next
  /// session is entitled, before `resumed`, and before any call that ends because of it.
  struct Listener {
    std::function<void()> suspended;
    std::function<void()> resumed;
    std::function<void(const Loss&)> lost;
    /// Flush and drop what `keep` does not allow, then call drained(). docs/tokens.md, T5, T10.
    std::function<void(const FileKey& file, TokenMode keep, std::uint64_t round)> drain;
    /// What was kept of these files is void; empty: of all. Nobody is to be poisoned for it.
    std::function<void(const std::vector<FileKey>&)> tokens_lost;
  };
  virtual void listen(Listener listener) = 0;
};

}  // namespace holdfast::fs
