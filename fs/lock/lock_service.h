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

#include "fs/token/types.h"
#include "holdfast/base/clock.h"
#include "holdfast/base/result.h"
#include "holdfast/lock/errc.h"
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
  /// lock() and unlock() where this mount decides alone and at once. Nothing: it does not, and
  /// nothing has happened.
  [[nodiscard]] virtual std::optional<Result<Granted>> lock_now(const LockRequest& request) {
    static_cast<void>(request);
    return std::nullopt;
  }
  [[nodiscard]] virtual std::optional<Result<void>> unlock_now(const UnlockRequest& request) {
    static_cast<void>(request);
    return std::nullopt;
  }
  virtual Awaitable<QueryResult> query(QueryRequest request) = 0;
  virtual Awaitable<void> release_owner(ReleaseOwnerRequest request) = 0;
  virtual Awaitable<void> release_handle(ReleaseHandleRequest request) = 0;
  virtual Awaitable<void> claim_wal(ClaimWalRequest request) = 0;

  /// The mount may act: it has a session whose deadline has not passed.
  [[nodiscard]] virtual bool entitled() const = 0;
  /// How long entitled() will hold if nothing more is heard: what others may be told to rely on.
  [[nodiscard]] virtual Duration entitled_for() const { return Duration::zero(); }
  /// Returns when entitled() (at once if it is). Every operation that reads or changes the storage
  /// awaits this first.
  virtual boost::asio::awaitable<void> wait_entitled() = 0;

  // Tokens (docs/tokens.md). By default, and with tokens off, everything is CW: nothing is ever
  // asked for, nothing may be kept, nothing is drained.

  /// The mode, if the operation may go on at once; then it is pinned, until unpin().
  [[nodiscard]] virtual std::optional<TokenMode> try_pin(const FileKey& file, TokenUse use,
                                                         Urgency urgency) {
    static_cast<void>(file), static_cast<void>(use), static_cast<void>(urgency);
    return entitled() ? std::optional(TokenMode::kShared) : std::nullopt;
  }
  /// As try_pin(), but waits. `interrupt` as in lock(): kInterrupted, and nothing is pinned.
  virtual Awaitable<TokenMode> pin(FileKey file, TokenUse use, Urgency urgency,
                                   task::Interrupt* interrupt) {
    static_cast<void>(file), static_cast<void>(use), static_cast<void>(urgency);
    if (interrupt != nullptr && interrupt->requested()) {
      co_return make_error_code(LockErrc::kInterrupted);
    }
    co_await wait_entitled();
    co_return TokenMode::kShared;
  }
  virtual void unpin(const FileKey& file) { static_cast<void>(file); }
  /// What Listener::drain said is done. `in_use`: the file is open here.
  virtual void drained(const FileKey& file, std::uint64_t round, bool in_use) {
    static_cast<void>(file), static_cast<void>(round), static_cast<void>(in_use);
  }
  /// A file was created in `directory` while that was pinned under EX: its token is implied.
  virtual void created(const FileKey& directory, const FileKey& file) {
    static_cast<void>(directory), static_cast<void>(file);
  }
  /// The directory whose token implies the file's (T8).
  [[nodiscard]] virtual std::optional<FileKey> cover(const FileKey& file) const {
    static_cast<void>(file);
    return std::nullopt;
  }
  /// Its token is to be given up for a reason of ours; what it implies is asserted before. Whoever
  /// waits for the next one (kMayWait) knows that this was carried out.
  virtual void give_up(const FileKey& file) { static_cast<void>(file); }
  /// The kernel has forgotten the inode and nothing is kept of it: its token may go.
  virtual void forgotten(const FileKey& file) { static_cast<void>(file); }
  /// Changes whenever the mode was below PR in between; 0 = it is now. What was kept under a number
  /// is good while the number is the same.
  [[nodiscard]] virtual std::uint64_t token_generation(const FileKey& file) const {
    static_cast<void>(file);
    return 0;
  }

  /// `suspended`: the deadline passed without an acknowledged renewal, nothing may leave any more.
  /// `resumed`: back, all locks kept. `lost`: locks are gone, see Loss; runs before the next
  /// session is entitled, before `resumed`, and before any call that ends because of it; what was
  /// kept under the tokens of these files, or of all, is gone too.
  /// `drain`: a token is to be given up, see Drain; drained() may be called from within.
  /// `tokens_lost`: tokens are gone where no locks were: drop what was kept of these files; empty =
  /// of all.
  struct Listener {
    std::function<void()> suspended;
    std::function<void()> resumed;
    std::function<void(const Loss&)> lost;
    std::function<void(const Drain&)> drain{};
    std::function<void(const std::vector<FileKey>& files)> tokens_lost{};
  };
  virtual void listen(Listener listener) = 0;
};

}  // namespace holdfast::fs
