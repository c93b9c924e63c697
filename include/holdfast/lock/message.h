#pragma once
/// What mounts and lockd say to each other, as plain values. lib/wire turns them into bytes and
/// back; lockd/core and the lock client in fs/ act on them. docs/protocol.md tells the story;
/// lib/proto/holdfast/lockd.proto the bytes.

#include "holdfast/lock/byte_range.h"
#include "holdfast/lock/errc.h"
#include "holdfast/lock/limit.h"
#include "holdfast/lock/listing.h"
#include "holdfast/lock/types.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace holdfast {

// ---- Requests of a session (numbered, answered exactly once)
// --------------------------------------------------------

/// F_SETLK, F_SETLKW, flock(LOCK_SH|LOCK_EX). Converts what `owner` holds in the range; splits and
/// merges as POSIX says.
struct LockRequest {
  FileKey file;
  LockSpace space = LockSpace::kRange;
  OwnerId owner;
  HandleId handle;  ///< the handle it was set through: what RELEASE of that handle frees
  OwnerKind kind = OwnerKind::kUnchecked;
  LockMode mode = LockMode::kShared;
  ByteRange range = ByteRange::whole_file();
  Wait wait = Wait::kNo;
  std::uint32_t pid = 0;  ///< for people (holdfast locks); never a key
  /// Set on locks of a `-shm` file: the database file it indexes. The session must own that
  /// database's wal-index.
  std::optional<FileKey> wal_database;
  /// Of a request that waited in a former life of lockd and is asked again: its place then.
  std::optional<QueuePlace> place;
};

/// F_UNLCK. Succeeds also where nothing is held.
struct UnlockRequest {
  FileKey file;
  LockSpace space = LockSpace::kRange;
  OwnerId owner;
  ByteRange range = ByteRange::whole_file();
};

/// F_GETLK: the first lock that would be in the way.
struct QueryRequest {
  FileKey file;
  LockSpace space = LockSpace::kRange;
  OwnerId owner;
  LockMode mode = LockMode::kShared;
  ByteRange range = ByteRange::whole_file();
};

/// FUSE FLUSH (a close of any descriptor of the process): frees every range of `owner` in
/// LockSpace::kRange and cancels nothing (a waiting thread of the same process keeps waiting, as in
/// Linux).
struct ReleaseOwnerRequest {
  FileKey file;
  OwnerId owner;
};

/// FUSE RELEASE (last reference to an open file description): frees whatever was last set through
/// `handle`, in both spaces, and cancels waiters that came through it.
struct ReleaseHandleRequest {
  FileKey file;
  HandleId handle;
};

/// Ends the wait of request `target` of this session. That request is answered with kInterrupted,
/// or with its grant if that came first. Cancelling an answered or unknown request is no error.
struct CancelRequest {
  RequestNumber target;
};

/// The session is about to use `database` in WAL mode: own its wal-index, or kWalOwnedElsewhere.
/// Idempotent. Ownership lasts until the session holds no lock on the database's lock bytes and
/// none on its -shm, or ends. While one session owns it, others are refused any lock on the
/// database's lock bytes (facts: SQLite, os_unix.c).
struct ClaimWalRequest {
  FileKey database;
};

// Tokens (docs/tokens.md). A token is named by the number of the request that got it: TokenRequest
// or TokenAssert; 0 after a reclaim. Whatever names another than the one held is of the past and
// changes nothing.

/// What a mount is about to do.
enum class TokenUse : std::uint8_t {
  kRead,     ///< answered with PR, EX or CW
  kWrite,    ///< answered with EX or CW
  kThrough,  ///< read and write without keeping anything: answered with CW, or EX if held
};
/// Answered with TokenGranted, once nobody else holds what is in the way.
struct TokenRequest {
  FileKey file;
  TokenUse use = TokenUse::kRead;
};

/// A lock that a client holds.
struct HeldLock {
  FileKey file;
  LockSpace space = LockSpace::kRange;
  OwnerId owner;
  HandleId handle;
  LockMode mode = LockMode::kShared;
  ByteRange range = ByteRange::whole_file();
  std::uint32_t pid = 0;
  std::optional<FileKey> wal_database;  ///< as in LockRequest
};

/// Locks that the mount has decided under its token: lockd's from now on. Before TokenRelease with
/// `keep` = CW, in as many requests as it takes. Answered with Done.
inline constexpr std::size_t kPushLocksMax =
    128;  ///< in one request, so that a usual frame holds it
struct PushLocks {
  FileKey file;
  RequestNumber token;
  std::vector<HeldLock> locks;  ///< all of `file`
};
/// The mount has given up what `keep` does not allow: everything written is on stable storage, what
/// it had kept is dropped, its locks are pushed. Answered with Done.
struct TokenRelease {
  FileKey file;
  RequestNumber token;
  TokenMode keep = TokenMode::kNone;  ///< not EX
};

struct HeldToken {
  FileKey file;
  TokenMode mode = TokenMode::kNone;  ///< in a message: not NL
  friend bool operator==(const HeldToken&, const HeldToken&) = default;
};
/// Before the token of `cover` (kVolumeKey, or a directory in which the files were created under
/// it) is released: tokens that it implied, to be held on their own from now on. Answered with
/// Done.
inline constexpr std::size_t kTokenAssertMax = 512;  ///< in one request
struct TokenAssert {
  FileKey cover;
  RequestNumber token;  ///< of `cover`
  std::vector<HeldToken> tokens;
};

using Command = std::variant<LockRequest, UnlockRequest, QueryRequest, ReleaseOwnerRequest,
                             ReleaseHandleRequest, CancelRequest, ClaimWalRequest, TokenRequest,
                             PushLocks, TokenRelease, TokenAssert>;

struct Request {
  RequestNumber number;
  /// Every reply up to and including this number has reached the client; lockd may forget them.
  RequestNumber acknowledged;
  Command command;
};

// ---- Replies
// --------------------------------------------------------------------------------------------------------

struct Granted {
  FencingToken token;
};
/// Answer of unlock, release, cancel, claim.
struct Done {};
/// Answer of a query: nothing, or the first conflict.
struct Conflict {
  LockMode mode = LockMode::kShared;
  ByteRange range = ByteRange::whole_file();
  std::uint32_t pid = 0;      ///< meaningful on the holder's own node only
  bool same_session = false;  ///< the holder is on the asking mount, so pid may be shown
};
struct QueryResult {
  std::optional<Conflict> conflict;
};
struct Refused {
  LockErrc errc = LockErrc::kBadRequest;
  std::optional<LimitMet> limit{};  ///< that was met; nothing, too, from a peer that does not say
};
/// Answer of a TokenRequest; replaces whatever token of this file the session had.
struct TokenGranted {
  TokenMode mode = TokenMode::kNone;  ///< NL: of the volume, not now
  /// With CW where more was asked for: worth asking again after this time.
  std::chrono::milliseconds ask_again{0};
};

using Outcome = std::variant<Granted, Done, QueryResult, Refused, TokenGranted>;

struct Reply {
  RequestNumber number;
  Outcome outcome;
};

/// Not an answer: the request waits, at this place. Kept by the client for a restart of lockd.
struct Queued {
  RequestNumber number;
  QueuePlace place;
};

/// Somebody needs `file`: the mount is to come down to what is compatible with `wanted`, with
/// TokenRelease. Said again until it has. `token`: which one is meant; it may be one whose grant is
/// still on its way.
struct Recall {
  FileKey file;
  RequestNumber token;
  TokenMode wanted = TokenMode::kNone;
};

// ---- Sessions
// -------------------------------------------------------------------------------------------------------

inline constexpr std::uint32_t kProtocolVersionMin = 2;
inline constexpr std::uint32_t kProtocolVersion = 2;

struct ResumeSession {
  SessionId session;
  SessionSecret secret{};
  LossNumber losses_seen{};  ///< as in Renew
};

/// What an expired or broken session lost: everything it held on `file` was given away. Told at
/// each Welcome until the client has said that it knows (Renew::losses_seen).
struct FileLoss {
  LossNumber number;
  FileKey file;
  friend bool operator==(const FileLoss&, const FileLoss&) = default;
};

/// Answer to Welcome{reclaim}: what this session holds, in as many messages as it takes, before any
/// Request. The last one ends the reclaim.
struct Reclaim {
  std::vector<HeldToken> tokens;  ///< before all else
  std::vector<HeldLock> locks;    ///< that lockd had decided: not of files with a token PR or EX
  std::vector<FileKey> wal_databases;  ///< whose wal-index it owns
  bool last = false;
  /// With `last`: requests of before come again once Reclaimed is here, then a Renew. Grace goes on
  /// until that Renew, so that who waited keeps its place.
  bool asks_again = false;
};
/// Answer to the last Reclaim. `losses`: what could not be given back.
struct Reclaimed {
  std::vector<FileLoss> losses;
};

/// First message of a connection, from the mount.
struct Hello {
  std::uint32_t version_min = kProtocolVersionMin;
  std::uint32_t version_max = kProtocolVersion;
  VolumeId volume{};
  std::string volume_name;  ///< what the user mounted, e.g. nas:/export; for people
  std::string node;         ///< host name; for people
  std::string mountpoint;   ///< for people
  std::uint32_t pid = 0;    ///< of the mount's process; for people
  /// How long a write that this mount has handed to its kernel may still reach the storage after
  /// the mount stopped (its TCP_USER_TIMEOUT). lockd waits it out before it gives locks away.
  std::chrono::milliseconds write_life{0};
  /// The latest epoch this mount has seen; 0 = none. A lockd of an earlier one must not serve.
  Epoch epoch_seen;
  /// The mount answers TellWho; whoever does not say so is not asked.
  bool tells_who = false;
  /// Present on a reconnect. If lockd knows the session it goes on; else it answers kSessionLost
  /// and the client opens a new one after it has poisoned what it held.
  std::optional<ResumeSession> resume;
  /// The credential of a mount that shows no certificate; empty: none. Never logged.
  std::string token;
};
inline constexpr std::size_t kTokenTextMax = 256;

/// First message of a connection, from lockd.
struct Welcome {
  std::uint32_t version = kProtocolVersion;
  SessionId session;
  SessionSecret secret{};
  Epoch epoch;
  std::chrono::milliseconds lease_ttl{10'000};
  std::uint32_t requests_in_flight_max = 0;
  /// The session is known, but not what it holds nor what it asked: Reclaim comes first, and all
  /// unanswered requests again, numbered from 1.
  bool reclaim = false;
  /// Of a resumed session: what it lost and has not been seen to know.
  std::vector<FileLoss> losses;
  bool answers_who = false;  ///< lockd answers AskWho
};

/// Refuses a Hello. `retry_after` > 0 with kStarting.
struct HelloRefused {
  LockErrc errc = LockErrc::kBadRequest;
  std::chrono::milliseconds retry_after{0};
  std::string reason;               ///< for people
  std::optional<LimitMet> limit{};  ///< as in Refused
};

/// Keeps the lease; `tick` is echoed so that the client knows which renewal was acknowledged (its
/// deadline counts from when it *sent* that one).
struct Renew {
  std::uint64_t tick = 0;
  LossNumber losses_seen{};  ///< acted on all losses up to this one; 0 = none
};
struct Renewed {
  std::uint64_t tick = 0;
};
/// The mount is going away cleanly: free everything it holds.
struct Goodbye {};
/// The session ended at lockd; nothing follows on this connection.
struct SessionEnded {};

// ---- One frame
// -------------------------------------------------------------------------------------------------------

using ClientMessage = std::variant<Hello, Request, Renew, Goodbye, ListSessions, ListLocks, Reclaim,
                                   Break, AskWho, ToldWho>;
using ServerMessage =
    std::variant<Welcome, HelloRefused, Reply, Renewed, SessionEnded, SessionList, LockList, Queued,
                 Reclaimed, BreakAnswer, Recall, TellWho, WhoAnswer>;

}  // namespace holdfast
