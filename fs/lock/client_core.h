#pragma once
/// The mount's side of a session at lockd, as a pure state machine: the lease, the requests that
/// wait for answers, interrupts, loss. No I/O, clock, randomness; LockClient performs the effects.
///
/// Thread: the loop's. Time: `now` must not go backwards.
///
/// Lease: the deadline counts from when the renewal that was acknowledged was *sent*, and is early
/// by a drift margin; lockd counts from when it received it. So we stop before lockd gives away.
///
/// Exactly once: requests get their number when they are first sent, are kept until answered, and
/// are sent again in number order on each new connection; lockd answers repeats from memory.
///
/// Interrupts: a call that was never sent is dropped. One that was sent is cancelled at lockd, and
/// the caller is told kInterrupted at once. Its grant may have crossed; then what it took is given
/// back: ranges the owner did not hold are unlocked, ranges it held are set back to the mode and
/// handle they had. Requests for that file wait until this is settled, so that they act on what the
/// caller believes. Where giving back could fail, the caller waits for lockd's verdict instead: a
/// grant that weakened an exclusive lock (somebody else may have come in), or an owner whose
/// requests overlap in time (what it held before the grant is not known).
///
/// Reclaim: a lockd that lost its memory asks for it (Welcome::reclaim). We tell it what we hold,
/// less whatever an unanswered request of ours may have freed already: that may be somebody else's
/// now (RFC 8881 section 8.4.2.1). What is unanswered is asked again, under new numbers, in the old
/// order, with the places in the queue that we were told. Details: client_reclaim.cc.
///
/// Losses: lockd names files whose locks it gave away. FilesLost comes before anything else that
/// follows from it. Requests for locks on them end with kLockLost, and what they still take is
/// given back. A session that is lost while it held nothing is replaced, and its calls live on.
///
/// States and what moves between them:
///   connecting  no session yet, or again                     -> active (Welcome)
///   active      entitled until the deadline                  -> suspended (deadline), lost
///   suspended   the deadline passed; nothing may leave       -> active (acknowledged), lost
///   lost        lockd does not know our session any more     -> active (Welcome of a new one)
/// A connection is down, greeting (Hello sent), reclaiming (until Reclaimed), up.

#include "fs/lock/held_locks.h"
#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"

#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <variant>
#include <vector>

namespace holdfast::fs {

using CallId = Id<struct CallIdTag>;

/// How much earlier than lockd a mount with this TTL stops: 1 % for clocks that run at different
/// speeds, and 200 ms for everything between deciding and acting.
[[nodiscard]] constexpr Duration drift_margin(Duration lease_ttl) {
  return lease_ttl / 100 + std::chrono::milliseconds(200);
}

// Effects, in the order to be performed.
struct SendMessage {
  ClientMessage message;
};
/// Tell the caller.
struct CompleteCall {
  CallId call;
  Outcome outcome;
};
/// Close the connection; connect again not before `delay`. Zero: as backoff says.
struct DropConnection {
  enum class Why {
    kRefused,
    kLost,
    kSilent,
    kProtocol,
    kStale,  ///< a lockd of an earlier epoch than one we have seen
  } why;
  Duration delay{0};
};
struct SessionOpened {
  SessionId session;
  Epoch epoch;
};
struct SessionResumed {};
struct LeaseSuspended {};
struct LeaseResumed {};
/// With all its locks. Not told if it held nothing.
struct SessionLost {};
/// All locks of this mount on these files were given away; the session goes on.
struct FilesLost {
  std::vector<FileKey> files;
};
using ClientEffect =
    std::variant<SendMessage, CompleteCall, DropConnection, SessionOpened, SessionResumed,
                 LeaseSuspended, LeaseResumed, SessionLost, FilesLost>;
using ClientEffects = std::vector<ClientEffect>;

class ClientCore {
 public:
  enum class State { kConnecting, kActive, kSuspended, kLost };

  struct Limits {
    std::size_t unsent_max = 65'536;  ///< calls not sent yet; above: what asks for a
                                      ///< lock gets kTooManyRequests
    Duration hello_timeout = std::chrono::seconds(5);
  };

  ClientCore(Hello hello, Limits limits) : hello_(std::move(hello)), limits_(limits) {}

  // ---- The connection
  [[nodiscard]] ClientEffects connected(Instant now);
  void disconnected();
  [[nodiscard]] ClientEffects received(const ServerMessage& message, Instant now);

  /// What was sent has left: goes on with a reclaim, a few messages at a time.
  [[nodiscard]] ClientEffects writable();
  /// writable() must be called for the reclaim to end.
  [[nodiscard]] bool has_more_to_say() const { return link_ == Link::kReclaiming && !told_all_; }

  // ---- Calls
  /// Starts a call. It is completed by exactly one CompleteCall, here or later.
  [[nodiscard]] CallId submit(Command command, ClientEffects& effects);
  /// Only calls that lock can be interrupted; else, and after completion, nothing happens.
  [[nodiscard]] ClientEffects interrupt(CallId call);
  /// Ends the session cleanly. Nothing may be submitted any more; open calls end with kSessionLost.
  [[nodiscard]] ClientEffects goodbye();

  // ---- Time
  [[nodiscard]] ClientEffects tick(Instant now);
  /// When tick() has something to do; Instant::max() = nothing.
  [[nodiscard]] Instant next_deadline() const;

  [[nodiscard]] bool entitled(Instant now) const {
    return state_ == State::kActive && now < deadline_;
  }
  /// When the lease ends, with the margin taken off; Instant{} without a session.
  [[nodiscard]] Instant deadline() const { return deadline_; }
  [[nodiscard]] State state() const { return state_; }
  /// The last refusal of a Hello, for people.
  [[nodiscard]] const std::optional<HelloRefused>& refusal() const { return refusal_; }
  /// Calls not completed, and cancels and give-backs under way.
  [[nodiscard]] std::size_t open_calls() const { return sent_.size() + unsent_.size(); }

 private:
  enum class Link { kDown, kGreeting, kReclaiming, kUp };
  struct Call {
    CallId id;
    Command command;
    bool background = false;        // nobody waits for it
    bool answered = false;          // interrupted: the caller was told, the verdict is open
    bool cancelled = false;         // a cancel was sent, for whatever reason
    bool make_room = false;         // cancelled to be sent again under a new number
    bool user_interrupted = false;  // the caller wants it to end
    bool abandoned = false;         // answered: what it still takes is unlocked
    bool weakened = false;          // what the owner held was not reclaimed whole, because of it
    bool renumbered = false;        // asked a former life of lockd, or a former session
    bool alone = false;             // sent with no other request that changes its owner's locks
  };

  void on(const Welcome& welcome, Instant now, ClientEffects& effects);
  void on(const HelloRefused& refused, Instant now, ClientEffects& effects);
  void on(const Reply& reply, Instant now, ClientEffects& effects);
  void on(const Renewed& renewed, Instant now, ClientEffects& effects);
  void on(const SessionEnded& ended, Instant now, ClientEffects& effects);
  void on(const SessionList& list, Instant now, ClientEffects& effects);
  void on(const LockList& list, Instant now, ClientEffects& effects);
  void on(const BreakAnswer& answer, Instant now, ClientEffects& effects);
  void on(const Queued& queued, Instant now, ClientEffects& effects);
  void on(const Reclaimed& reclaimed, Instant now, ClientEffects& effects);

  void resend(ClientEffects& effects);
  void pump(ClientEffects& effects);
  void send_numbered(Call call, ClientEffects& effects);
  void send_background(Command command, ClientEffects& effects);
  void make_room(ClientEffects& effects);
  void lose(ClientEffects& effects);
  void end_all(ClientEffects& effects);
  void forget_session();
  void drop(DropConnection::Why why, Duration delay, ClientEffects& effects);
  void extend(Instant sent, Instant now, ClientEffects& effects);
  void settle(const Call& call, const Outcome& outcome, ClientEffects& effects);
  void settle_held(const Call& call, const Outcome& outcome, ClientEffects& effects);
  [[nodiscard]] bool can_give_back(RequestNumber number, const LockRequest& request) const;
  [[nodiscard]] bool ends_by_itself(const Call& call) const;
  [[nodiscard]] bool unsettled(const Command& command) const;
  [[nodiscard]] RequestNumber acknowledged() const;
  [[nodiscard]] bool touched_by_another(RequestNumber number, const Command& command) const;
  void mark_uncertain_owners();

  // client_reclaim.cc
  void take_losses(const std::vector<FileLoss>& losses, ClientEffects& effects);
  void lose_files(std::vector<FileKey> files, ClientEffects& effects);
  void abandon(Call& call, ClientEffects& effects);
  void forsake(const FileKey& file, ClientEffects& effects);
  void prepare_reclaim(ClientEffects& effects);
  void begin_reclaim(ClientEffects& effects);
  void forget_what_may_be_free();
  void renumber(ClientEffects& effects);
  void renew(Instant now, ClientEffects& effects);
  void tell_more(ClientEffects& effects);

  Hello hello_;
  Limits limits_;
  State state_ = State::kConnecting;
  Link link_ = Link::kDown;
  std::optional<Welcome> session_;
  std::optional<HelloRefused> refusal_;

  Instant deadline_{};    // of the lease, ours
  Instant hello_sent_{};  // of the connection being greeted
  Instant renew_at_{};
  std::uint64_t last_tick_ = 0;
  struct Renewal {
    std::uint64_t tick;
    Instant sent;
  };
  std::deque<Renewal> renewals_;  // sent on this connection, not acknowledged

  std::uint64_t last_call_ = 0;
  std::uint64_t last_number_ = 0;
  std::map<RequestNumber, Call> sent_;    // numbered, not answered
  std::list<Call> unsent_;                // in the order of the calls
  std::map<FileKey, unsigned> settling_;  // files with an interrupted call whose verdict is open
  HeldLocks held_;
  LossNumber losses_seen_;
  // Of a reclaim: what is to be told yet.
  HeldLocks::Cursor cursor_;
  std::deque<FileKey> databases_;
  bool told_all_ = true;
};

}  // namespace holdfast::fs
