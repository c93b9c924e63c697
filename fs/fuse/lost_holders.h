#pragma once
/// Programs that lost a lock, and must change nothing more on this mount until they have noticed
/// (I6).
///
/// Poisoned handles do not suffice: a program changes files by name, too, relying on a lock of
/// another file. SQLite that loses its database's lock in mid-commit would delete the journal, by
/// now another node's, and so undo that node's way back.
///
/// A *loser* is a process that had one of the lost files open when the lock was lost, as /proc says
/// it: with a lock that is tied to an open file (flock, OFD) that is whoever may rely on it, forked
/// children included. It stays one until it has closed those files or ended. What it starts
/// meanwhile (a script's `mv`) counts as itself. Who opens the file afterwards is none.
///
/// Processes that this one cannot see (another pid namespace) cannot be told apart: if no loser was
/// found at all, all of them are taken for losers.
///
/// Cost: nothing while no lock is lost. A loss reads the descriptors of all processes; from then
/// on each change reads the ancestry of its caller.
///
/// Thread: the loop. Source of the formats: proc(5), linux: fs/proc/fd.c.

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>

#include <sys/types.h>

namespace holdfast::fs {

/// A process; numbers alone are given out again.
struct ProcessKey {
  pid_t pid = 0;
  std::uint64_t start = 0;  ///< clock ticks after boot
  friend constexpr auto operator<=>(const ProcessKey&, const ProcessKey&) = default;
};

class LostHolders {
 public:
  using Inodes = std::set<std::uint64_t>;  // st_ino
  /// Descriptors of one process looked at; one with more counts as having the file open.
  static constexpr std::size_t kDescriptorsMax = 65'536;
  static constexpr int kAncestorsMax = 32;

  /// As mountinfo names the filesystem: "0:53".
  void use_device(std::string device) { device_ = std::move(device); }
  /// The locks of `files` are lost. Finds who has them open.
  void lost(const Inodes& files);
  /// Of the lost files only `files` are still open somewhere on this mount.
  void keep(const Inodes& files);

  [[nodiscard]] bool empty() const { return files_.empty(); }
  /// The process of thread `tid` is a loser, or was started by one.
  [[nodiscard]] bool include(pid_t tid);

 private:
  [[nodiscard]] bool has_open(pid_t process) const;
  [[nodiscard]] bool on_our_device(pid_t process, std::uint64_t mount_id,
                                   const std::string& link) const;

  std::string device_;
  Inodes files_;
  std::set<ProcessKey> losers_;
  bool somebody_unseen_ = false;  // files were lost that nobody seen has open
};

}  // namespace holdfast::fs
