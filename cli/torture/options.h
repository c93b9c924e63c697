#pragma once
/// What one run of the torture suite shall do. Plain values; filled by the command line.

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::torture {

struct Options {
  /// The same directory, seen through one or more mounts.
  std::vector<std::string> dirs;
  /// Names out of kModes; empty = all that make sense for the number of directories.
  std::vector<std::string> modes;
  /// Load time of the whole run, shared evenly by the modes.
  unsigned seconds = 100;
  std::uint64_t seed = 0;
  unsigned workers = 4;
  /// Mean time between two kill -9 of a random worker; 0 = none.
  unsigned kill_every_ms = 700;
  /// How long one worker or one final check may hang before that counts as a violation.
  unsigned patience_s = 120;
  /// Processes that keep tokens moving meanwhile; 0 = none.
  unsigned storm = 0;
  /// A local directory the semantics mode compares with; empty = a fresh one under TMPDIR.
  std::string reference;
  /// Histories go here and stay, and the files in the directories stay too; empty = temporary.
  std::string keep;
  bool json = false;
  /// Journal modes of the bank out of kJournalModes; empty = one after the other.
  std::vector<std::string> journals;
  /// Of mode coherence; 0 = as many as there is time for.
  std::uint64_t pairs = 0;
  /// Mode coherence also reads through descriptors that stay open.
  bool held_reads = false;
  /// EIO and friends count as "unknown outcome" instead of a violation (servers are being killed).
  bool tolerate_io_errors = false;
  /// So does what a program meets whose mount dies and is mounted again.
  bool tolerate_remounts = false;
};

inline constexpr const char* kModes[] = {"semantics", "exclusion", "bank", "hotjournal", "wal"};
/// Only if named: more than NFS promises.
inline constexpr const char* kModesOnRequest[] = {"coherence"};
inline constexpr const char* kJournalModes[] = {"DELETE", "TRUNCATE", "PERSIST"};
inline constexpr unsigned kWorkersMax = 256;
inline constexpr unsigned kStormMax = 64;
inline constexpr unsigned kDirsMax = 16;

}  // namespace holdfast::torture
