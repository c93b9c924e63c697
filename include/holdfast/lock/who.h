#pragma once
/// Which process holds or waits for a lock, as the mount it runs on knows it (docs/protocol.md,
/// "Who"). Plain values, for people: nothing decides by them.

#include "holdfast/lock/byte_range.h"
#include "holdfast/lock/types.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace holdfast {

/// Texts may be empty: not known. From /proc of the node that has the process.
struct ProcessInfo {
  std::string name;       ///< proc_pid_comm(5): 15 bytes
  std::string pod_uid;    ///< Kubernetes: of its pod, "01234567-89ab-..."
  std::string pod;        ///< its name: 253 bytes
  std::string ns;         ///< its namespace: 63 bytes
  std::string container;  ///< id, as the container runtime calls it
};

enum class ToldState : std::uint8_t { kHeld, kWaiting };

/// A lock of one file that a mount's program has or wants.
struct ToldLock {
  ToldState state = ToldState::kHeld;
  FileKey file;
  LockSpace space = LockSpace::kRange;
  LockMode mode = LockMode::kShared;
  ByteRange range = ByteRange::whole_file();
  OwnerId owner;
  std::uint32_t pid = 0;
  /// Held: since its owner has had any lock of the file. Waiting: since it was asked for.
  std::chrono::milliseconds age{0};
  /// Decided by the mount under its token (docs/tokens.md): lockd does not know it.
  bool here = false;
  ProcessInfo process;
};

/// In one message, so that a usual frame holds it; of one mount; and of all mounts together.
inline constexpr std::size_t kToldLocksPerMessage = 24;
inline constexpr std::size_t kToldLocksMax = 240;
inline constexpr std::size_t kWhoLocksMax = 1'024;
/// That are asked for one question.
inline constexpr std::size_t kWhoMountsMax = 256;

/// Who holds, and who waits for, locks of the files with this number, in the asker's volume?
/// `question` is chosen by the asker and comes back with the answer. Changes nothing.
struct AskWho {
  std::uint64_t question = 0;
  std::uint64_t fileid = 0;
};
/// lockd asks a mount, which answers at once with ToldWho, from memory. No token moves.
struct TellWho {
  std::uint64_t question = 0;
  std::uint64_t fileid = 0;
};
struct ToldWho {
  std::uint64_t question = 0;
  std::vector<ToldLock> locks;
  bool truncated = false;
  bool more = false;  ///< another message of the same answer follows
};

}  // namespace holdfast
