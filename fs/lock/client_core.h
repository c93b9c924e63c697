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
/// handle they had (not so a flock that was converted: that lock is lost). Requests for that file
/// wait until this is settled, so that they act on what the caller believes. Where giving back
/// could fail, the caller waits for lockd's verdict instead: a grant that weakened an exclusive
/// lock (somebody else may have come in), or an owner whose requests overlap in time (what it held
/// before the grant is not known). A flock that was to be converted is lost whatever its request
/// had come to: one that was never sent goes on as an unlock, in its place.
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
/// Tokens (docs/tokens.md; TokenAgent has the rules of one file): under PR and EX requests for
/// locks are decided here, against what is held, and completed at once. The requests for one file
/// wait in its lane while the token is on its way, or until a lock that must wait has brought it
/// down to CW (T3); then they go to lockd in their order. More than CW is never asked for while
/// lockd has an unanswered request for that file's locks: its grant makes us the judge of them, so
/// we must know them. Details: client_lanes.cc, client_tokens.cc.
///
/// A wal-index belongs to its database: locks on it are decided here only while the database is
/// under EX too, and go to lockd before those of the database. Else lockd would not see that it is
/// owned here.
///
/// States and what moves between them:
///   connecting  no session yet, or again                     -> active (Welcome)
///   active      entitled until the deadline                  -> suspended (deadline), lost
///   suspended   the deadline passed; nothing may leave       -> active (acknowledged), lost
///   lost        lockd does not know our session any more     -> active (Welcome of a new one)
/// A connection is down, greeting (Hello sent), reclaiming (until Reclaimed), up.

#include "fs/lock/held_locks.h"
#include "fs/lock/limit_refusal.h"
#include "fs/lock/local_locks.h"
#include "fs/token/agent.h"
#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>
#include <vector>

namespace holdfast::fs {

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
/// Tokens are gone without having been given up: drop what was kept, and what is unwritten is lost.
/// `files`: of these; empty: of all. FilesLost and SessionLost imply it; this one is told where
/// there were no locks. Before anything else goes on.
struct TokensLost {
  std::vector<FileKey> files;
};
/// lockd wants to know: to be sent, with the processes filled in.
struct TellOfOurs {
  ToldWho told;
};
struct WhoAnswered {
  WhoAnswer answer;
};
using ClientEffect =
    std::variant<SendMessage, CompleteCall, DropConnection, SessionOpened, SessionResumed,
                 LeaseSuspended, LeaseResumed, SessionLost, FilesLost, Drain, TokenPinned,
                 TokensLost, TellOfOurs, WhoAnswered, LimitRefusal>;
using ClientEffects = std::vector<ClientEffect>;

class ClientCore {
 public:
  enum class State { kConnecting, kActive, kSuspended, kLost };

  struct Limits {
    std::size_t unsent_max = 65'536;  ///< calls not sent yet; above: what asks for a
                                      ///< lock gets kTooManyRequests
    Duration hello_timeout = std::chrono::seconds(5);
    /// Nothing: no tokens; all locks are lockd's, and nothing below "Tokens" may be called.
    std::optional<TokenLimits> tokens{};
  };

  ClientCore(Hello hello, Limits limits) : hello_(std::move(hello)), limits_(limits) {
    if (limits_.tokens) agent_.emplace(*limits_.tokens);
  }

  // ---- The connection
  /// `token`: Hello::token.
  [[nodiscard]] ClientEffects connected(Instant now, std::string token = {});
  void disconnected();
  [[nodiscard]] ClientEffects received(const ServerMessage& message, Instant now);

  /// What was sent has left: goes on with a reclaim, a few messages at a time.
  [[nodiscard]] ClientEffects writable();
  /// writable() must be called for the reclaim to end.
  [[nodiscard]] bool has_more_to_say() const { return link_ == Link::kReclaiming && !told_all_; }

  // ---- Calls
  /// Starts a call. It is completed by exactly one CompleteCall, here or later. With tokens, what
  /// can be decided here is completed here (Granted::token is 0 then: this mount decided), in the
  /// order of the calls for one file, but for releases, which do not wait behind a lock that waits.
  [[nodiscard]] CallId submit(Command command, ClientEffects& effects);
  /// The same, exact about time: nothing is decided here when the lease is over at `now`.
  [[nodiscard]] CallId submit(Command command, Instant now, ClientEffects& effects);
  /// The same for a call that can be completed here at once: its outcome. Nothing: it can't be, and
  /// nothing has happened.
  [[nodiscard]] std::optional<Outcome> decide_now(const Command& command, Instant now,
                                                  ClientEffects& effects);
  /// Only calls that lock can be interrupted; else, and after completion, nothing happens.
  [[nodiscard]] ClientEffects interrupt(CallId call);
  /// Ends the session cleanly. Nothing may be submitted any more; open calls end with kSessionLost.
  [[nodiscard]] ClientEffects goodbye();

  // ---- Tokens (docs/tokens.md, fs/token/agent.h). submit() takes them for locks by itself.
  /// What the operation may do, pinned until unpin(). Nothing: acquire(). Refused while not
  /// entitled. The mode may be less than `use` names: under CW everything goes through.
  [[nodiscard]] std::optional<TokenMode> try_pin(const FileKey& file, TokenUse use, Urgency urgency,
                                                 Instant now, ClientEffects& effects);
  /// As try_pin(), but waits. Ends with TokenPinned{call, mode}, or, interrupted, at goodbye(), or
  /// (kWithin) after a loss, with CompleteCall{call, Refused}. interrupt(call) ends the wait; once
  /// pinned it does nothing.
  [[nodiscard]] CallId acquire(const FileKey& file, TokenUse use, Urgency urgency, Instant now,
                               ClientEffects& effects);
  [[nodiscard]] ClientEffects unpin(const FileKey& file, Instant now);
  /// Answers Drain{file, keep, round}. An old round is no error.
  [[nodiscard]] ClientEffects drained(const FileKey& file, std::uint64_t round, bool in_use,
                                      Instant now);
  /// `file` was created in `directory` while that was pinned under EX: its token is implied.
  void created(const FileKey& directory, const FileKey& file);
  /// The directory that implies the file's token; nothing, too, if it is the volume's.
  [[nodiscard]] std::optional<FileKey> cover(const FileKey& file) const;
  /// As if somebody had recalled it. acquire(kMayWait) ends under the next token.
  [[nodiscard]] ClientEffects give_up(const FileKey& file, Instant now);
  [[nodiscard]] ClientEffects forgotten(const FileKey& file, Instant now);
  /// What was kept under one number is good under the same number still; 0: keep nothing.
  [[nodiscard]] std::uint64_t token_generation(const FileKey& file) const;

  // ---- Who has a lock (client_who.cc); for people
  /// Locks of files with this number that this mount's programs have or wait for, at most `count`.
  [[nodiscard]] std::vector<ToldLock> told_of(std::uint64_t fileid, std::size_t count) const;
  /// Who waits, of all files: the `count` that have waited longest.
  [[nodiscard]] std::vector<ToldLock> waits(std::size_t count) const;
  [[nodiscard]] bool can_ask_who() const { return link_ == Link::kUp && session_->answers_who; }
  /// Answered by WhoAnswered, or not at all if the connection breaks.
  [[nodiscard]] ClientEffects ask_who(const AskWho& question);

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
  /// lockd has answered the Hello of this connection.
  [[nodiscard]] bool greeted() const { return link_ == Link::kUp || link_ == Link::kReclaiming; }
  /// lockd's, of the session; 0 without one.
  [[nodiscard]] Epoch epoch() const { return session_ ? session_->epoch : Epoch{}; }
  /// The last refusal of a Hello, for people.
  [[nodiscard]] const std::optional<HelloRefused>& refusal() const { return refusal_; }
  /// Locks held, here or at lockd; a lock of one owner that another one splits counts twice.
  [[nodiscard]] std::size_t locks() const { return held_.pieces(); }
  /// Calls not completed, and cancels and give-backs under way.
  [[nodiscard]] std::size_t open_calls() const {
    return sent_.size() + unsent_.size() + lane_calls_ + (agent_ ? agent_->waiting() : 0);
  }
  /// Nothing with tokens off.
  [[nodiscard]] const std::optional<TokenAgent>& agent() const { return agent_; }

 private:
  enum class Link { kDown, kGreeting, kReclaiming, kUp };
  struct Call {
    CallId id;
    Command command;
    Instant since{};                // when it was submitted
    bool background = false;        // nobody waits for it
    bool answered = false;          // interrupted: the caller was told, the verdict is open; of an
                                    // unlock: it is all that is left of the call
    bool cancelled = false;         // a cancel was sent, for whatever reason
    bool make_room = false;         // cancelled to be sent again under a new number
    bool user_interrupted = false;  // the caller wants it to end
    bool abandoned = false;         // answered: what it still takes is unlocked
    bool weakened = false;          // what the owner held was not reclaimed whole, because of it
    bool renumbered = false;        // asked a former life of lockd, or a former session
    bool overtaken = false;         // a flock of this owner that was asked for later is granted
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
  void on(const Recall& recall, Instant now, ClientEffects& effects);
  void on(const TellWho& asked, Instant now, ClientEffects& effects);
  void on(const WhoAnswer& answer, Instant now, ClientEffects& effects);

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
  static void note_limit(const Command& command, const Refused& refused, LimitRefusal::By by,
                         ClientEffects& effects);
  static void note_limit(const Call& call, const Refused& refused, LimitRefusal::By by,
                         ClientEffects& effects);
  void refuse_unsent(const Call& call, ClientEffects& effects) const;
  void settle(const Call& call, const Outcome& outcome, ClientEffects& effects);
  void note_overtaken(const Call& granted, RequestNumber number);
  void settle_held(const Call& call, const Outcome& outcome, ClientEffects& effects);
  [[nodiscard]] bool can_give_back(RequestNumber number, const LockRequest& request) const;
  /// Of an interrupted call that has not been sent: false if nothing is left of it.
  [[nodiscard]] bool goes_on_as_unlock(Call& call) const;
  [[nodiscard]] bool ends_by_itself(const Call& call) const;
  [[nodiscard]] bool unsettled(const Command& command) const;
  [[nodiscard]] RequestNumber acknowledged() const;
  [[nodiscard]] bool touched_by_another(RequestNumber number, const Command& command) const;
  void mark_uncertain_owners();

  // client_who.cc
  [[nodiscard]] static bool is_wait(const Call& call);
  [[nodiscard]] ToldLock wait_of(const Call& call, bool here) const;

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

  // client_tokens.cc
  static void append(TokenEffects said, ClientEffects& effects);
  void go_on(ClientEffects& effects);
  void see(Instant now) { held_.see(now_ = std::max(now_, now)); }
  [[nodiscard]] bool decides_here() const { return entitled(now_); }
  [[nodiscard]] bool open_at_lockd(const FileKey& file) const;
  [[nodiscard]] TokenAgent::Locks locks_of(const FileKey& file) const;
  void release_ready(ClientEffects& effects);
  void release(const FileKey& file, TokenMode keep, ClientEffects& effects);
  void push_locks(const FileKey& file, ClientEffects& effects);
  void assert_tokens(const FileKey& cover, const std::vector<HeldToken>& tokens,
                     ClientEffects& effects);
  void ask_wanted(ClientEffects& effects);
  void try_to_ask(const FileKey& file, ClientEffects& effects);
  [[nodiscard]] bool is_about_tokens(const Call& call, const Reply& reply, Instant now,
                                     ClientEffects& effects);
  [[nodiscard]] bool lockd_knows_locks_of(const FileKey& file) const;

  // client_lanes.cc
  void complete(const Call& call, const Outcome& outcome, ClientEffects& effects);
  void run_lane(const FileKey& file, ClientEffects& effects);
  [[nodiscard]] bool take_turn(Call& call, ClientEffects& effects);
  [[nodiscard]] bool database_allows(const Call& call);
  [[nodiscard]] LocalDecision decide_alone(const Command& command, TokenMode mode);
  [[nodiscard]] std::optional<Outcome> decide_first(const Command& command, ClientEffects& effects);
  [[nodiscard]] bool decide(Call& call, TokenMode mode, ClientEffects& effects);
  [[nodiscard]] bool free_past_waiters(std::list<Call>& lane, ClientEffects& effects);
  [[nodiscard]] bool interrupt_in_lane(CallId call, ClientEffects& effects);
  void return_to_lanes();
  void lose_lane(const FileKey& file, ClientEffects& effects);
  void end_lanes(LockErrc errc, ClientEffects& effects);

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
  // With tokens: calls about the locks of a file wait here for their turn, until they are decided
  // or go to lockd. Only files with such calls have a lane.
  std::optional<TokenAgent> agent_;
  Instant now_{};  // as far as we were told
  bool decided_here_ = false;
  std::map<FileKey, std::list<Call>> lanes_;
  std::size_t lane_calls_ = 0;
  std::set<FileKey> lanes_due_;
  std::map<FileKey, std::set<FileKey>> behind_database_;  // lanes that wait for its token
  std::vector<FileKey> granted_;                          // tokens, since the last go_on()
  std::deque<HeldToken> tokens_;                          // to be told in a reclaim
  // Of a reclaim: what is to be told yet.
  HeldLocks::Cursor cursor_;
  std::deque<FileKey> databases_;
  bool told_all_ = true;
};

}  // namespace holdfast::fs
