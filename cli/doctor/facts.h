#pragma once
/// What `holdfast doctor` has found out. Plain values: gathering fills them in, judging reads them.
/// Errors are errno, 0 = none. Absent = not tried.

#include "fs/backend/types.h"
#include "holdfast/lock/errc.h"
#include "holdfast/lock/types.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::cli {

struct NodeFacts {
  bool root = false;
  bool fuse_exists = false;       ///< /dev/fuse
  int fuse_error = 0;             ///< of opening it
  bool fusermount = false;        ///< fusermount3 is installed: how users who are not root mount
  bool user_allow_other = false;  ///< in /etc/fuse.conf
  bool fusectl = false;           ///< /sys/fs/fuse/connections
};

/// What the mount table says of a path.
struct MountFacts {
  std::string path;
  std::string type;                    ///< "fuse.holdfast", "nfs4", "ext4"
  std::string source;                  ///< "nas:/export"
  std::string options;                 ///< all of them, with commas
  std::optional<std::string> trouble;  ///< a Holdfast mount that does not serve: why
};

/// A file made as somebody.
struct MadeAs {
  std::uint32_t uid = 0;
  int error = 0;
  std::uint32_t owner = 0;  ///< as the server has it, if there was no error
};

struct ExportFacts {
  std::string server;
  std::string path;
  int error = 0;           ///< of mounting it
  std::string error_text;  ///< what to read
  std::string hint;

  std::optional<std::chrono::microseconds> round_trip;  ///< GETATTR, median
  fs::Attributes root{};
  std::optional<fs::FilesystemStat> space;
  std::uint32_t read_max = 0;
  std::uint32_t write_max = 0;
  std::optional<MadeAs> as_root;
  std::optional<MadeAs> as_owner;  ///< of the root directory, if that is not root
  std::optional<MadeAs> as_user;   ///< an ordinary one
  /// Server's clock minus ours; right to half a round trip.
  std::optional<std::chrono::milliseconds> clock_ahead;
  bool whole_seconds = false;  ///< all times that were seen have no fraction
  std::optional<std::chrono::microseconds> stable_write;  ///< 4 KiB written and committed, median
  std::optional<bool> exclusive;  ///< a second exclusive create of a name is refused
  std::optional<bool>
      seen_at_once;  ///< another connection finds a new name, and misses a removed one
  std::optional<VolumeId> volume;    ///< its marker
  int volume_error = 0;              ///< of reading that; ENOENT = none yet
  std::optional<VolumeId> expected;  ///< --volume-id
};

struct LockdFacts {
  std::string address;
  bool tls = false;  ///< it was spoken
  int error = 0;     ///< of connecting, or it hung up
  std::string error_text;
  std::string hint;  ///< what to do about that, if more is known than that it cannot be reached
  std::optional<LockErrc> refused;
  std::string reason;
  std::optional<std::chrono::microseconds> round_trip;
  std::chrono::milliseconds lease{0};
};

/// One directory seen through two mounts.
struct PairFacts {
  std::string one;
  std::string other;
  int error = 0;  ///< the trial could not be made
  std::string error_text;
  bool fcntl_excludes = true;
  bool flock_excludes = true;
  bool sees_new_name = true;
  bool sees_removed_name = true;  ///< that it is gone
  bool sees_new_bytes = true;     ///< after a lock was taken
};

struct Facts {
  NodeFacts node;
  std::optional<MountFacts> mount;
  std::optional<ExportFacts> server;
  std::optional<LockdFacts> lockd;
  std::optional<PairFacts> pair;
};

}  // namespace holdfast::cli
