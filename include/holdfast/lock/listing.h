#pragma once
/// What people ask lockd: listings, orders, and who has a lock. On the admin socket; AskWho also
/// from a session, about its volume. Plain values.

#include "holdfast/lock/byte_range.h"
#include "holdfast/lock/types.h"
#include "holdfast/lock/who.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

struct ListSessions {};
struct ListLocks {};
/// Takes everything, or what it has on `file`, away from a session (docs/reliability.md, "Break").
struct Break {
  SessionId session;
  std::optional<FileKey> file;
};
/// `refused`: why nothing will happen, for people; empty = ordered. `at_most`: until it is given
/// away, where fencing means to wait; a fence command may be quicker.
struct BreakAnswer {
  std::string refused;
  std::chrono::milliseconds at_most{0};
};

/// docs/reliability.md, "Phases"
enum class SessionPhase : std::uint8_t {
  kLive,
  kReturning,  ///< of a former life of lockd, has not told yet what it holds
  kCourtesy,   ///< its lease is over, nobody wants what it holds
  kFencing,    ///< somebody does: first it must not be able to write any more
  kFenced,     ///< it cannot; what is wanted of it is given away
};

struct SessionInfo {
  SessionId session;
  std::string node;
  std::string mountpoint;
  std::string volume_name;
  VolumeId volume{};
  std::uint32_t pid = 0;
  bool connected = false;
  std::chrono::milliseconds lease_left{0};
  std::uint64_t locks = 0;
  std::uint64_t waiters = 0;
  SessionPhase phase = SessionPhase::kLive;
  /// An administrator's order waits for its lease to end.
  bool breaking = false;
  /// Files whose locks it lost and has not been seen to know.
  std::uint64_t losses = 0;
  std::uint64_t tokens = 0;  ///< that it holds, the volume's included
};
enum class LockState : std::uint8_t { kHeld, kWaiting, kWalOwner };
struct LockInfo {
  LockState state = LockState::kHeld;
  SessionId session;
  std::string node;
  std::string volume_name;
  FileKey file;
  LockSpace space = LockSpace::kRange;
  LockMode mode = LockMode::kShared;
  ByteRange range = ByteRange::whole_file();
  OwnerId owner;
  std::uint32_t pid = 0;
  std::chrono::milliseconds age{0};
  FencingToken token;
};
struct SessionList {
  Epoch epoch;
  std::vector<SessionInfo> sessions;
  bool truncated = false;  ///< more than fit into one frame
  /// Locks wait: lockd does not know yet who held what before it started.
  bool grace = false;
  std::chrono::milliseconds grace_left{0};  ///< at least; 0 = until all are back or fenced
  bool stale = false;                       ///< serves nobody: its store is older than its mounts
};
struct LockList {
  std::vector<LockInfo> locks;
  bool truncated = false;    ///< more than fit into one frame
  std::uint64_t tokens = 0;  ///< that mounts hold: what they lock under them is not among `locks`
};

/// A mount of the volume, and what it said.
struct WhoMount {
  SessionInfo session;
  /// Of the file, of which lockd knows it: EX or PR let the mount decide locks itself.
  TokenMode token = TokenMode::kNone;
  bool has_volume = false;  ///< it has the volume's token: everything is its own
  bool told = false;        ///< it answered; else what it decided itself is not known
  std::vector<ToldLock> locks;
};
struct WhoAnswer {
  std::uint64_t question = 0;
  /// False: lockd was not to be had. What follows is what the asked mount knows by itself.
  bool from_lockd = false;
  bool grace = false;           ///< lockd does not know yet who held what before it started
  std::vector<LockInfo> locks;  ///< lockd's
  std::vector<WhoMount> mounts;
  bool truncated = false;
};

}  // namespace holdfast
