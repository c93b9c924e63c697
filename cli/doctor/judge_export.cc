#include "cli/admin/listing.h"
#include "cli/doctor/judge.h"
#include "fs/volume/volume_id.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr microseconds kRoundTripSlow{5'000};
constexpr microseconds kStableWriteSlow{50'000};
/// A disk that really stores something needs longer than this.
constexpr microseconds kStableWriteDoubtful{60};
constexpr milliseconds kClockOff{2'000};
constexpr std::uint32_t kTransferSmall = 64 << 10;
constexpr std::uint64_t kSpaceSmall = 256ULL << 20;
constexpr std::uint64_t kFilesSmall = 1'000;

class Export {
 public:
  Export(const ExportFacts& facts, std::vector<Finding>& findings)
      : facts_(facts), findings_(findings), name_(cell(facts.server + ":" + facts.path)) {}

  void judge() {
    if (facts_.error != 0) {
      add(Severity::kProblem, "export", facts_.error_text,
          "nothing can be mounted; what is on the server is not touched", facts_.hint);
      return;
    }
    add(Severity::kFine, "export", name_ + " answers, with NFS version 3 over TCP");
    writing();
    owners();
    semantics();
    speed();
    clock();
    space();
    volume();
  }

 private:
  void add(Severity severity, std::string check, std::string what, std::string means = "",
           std::string advice = "") {
    findings_.push_back(
        {severity, std::move(check), std::move(what), std::move(means), std::move(advice)});
  }
  [[nodiscard]] bool somebody_writes() const {
    return (facts_.as_root && facts_.as_root->error == 0) ||
           (facts_.as_owner && facts_.as_owner->error == 0);
  }

  void writing() {
    if (!facts_.as_root || somebody_writes()) return;
    const int error = facts_.as_owner ? facts_.as_owner->error : facts_.as_root->error;
    if (error == EROFS) {
      add(Severity::kProblem, "read-only", name_ + " is exported read-only",
          "programs cannot write, and the first mount cannot leave the volume's marker",
          "export it read-write to this node, or mount it -o ro once it has a marker");
      return;
    }
    add(Severity::kProblem, "permission",
        fmt::format("neither root nor uid {}, who owns {}, may make a file there: {}",
                    facts_.root.uid, name_, std::strerror(error)),
        "the volume's marker cannot be made, so nothing can be mounted",
        "give the directory to an ordinary user (chown), or let the export's squashed user write "
        "there");
  }

  void owners() {
    if (facts_.as_user && facts_.as_user->error == 0 &&
        facts_.as_user->owner != facts_.as_user->uid) {
      add(Severity::kProblem, "all-squash",
          fmt::format("a file made by uid {} belongs to uid {}: the export maps all users to one",
                      facts_.as_user->uid, facts_.as_user->owner),
          "every program may read and change everybody's files, and those that check who owns "
          "their "
          "files (PostgreSQL, ssh) refuse to start",
          "mount with -o owner=UID:GID of the program (holdfast(8)), or export without all_squash");
      return;
    }
    if (!facts_.as_root) return;
    const bool squashed = facts_.as_root->error != 0 || facts_.as_root->owner != 0;
    if (!squashed) {
      add(Severity::kNote, "root-squash", name_ + " lets root be root (no_root_squash)",
          "whoever is root on a node that may mount it can change every file",
          "root_squash is enough for Holdfast");
    } else if (facts_.as_root->error == 0) {
      add(Severity::kFine, "root-squash",
          fmt::format("root is mapped to uid {} (root_squash)", facts_.as_root->owner));
    } else {
      add(Severity::kFine, "root-squash", "root has no rights of its own there (root_squash)");
    }
  }

  void semantics() {
    if (facts_.exclusive && !*facts_.exclusive) {
      add(Severity::kProblem, "exclusive",
          "a second exclusive create of the same name was not refused",
          "two nodes may believe that each of them made a file alone: lock files of programs do "
          "not "
          "exclude",
          "use another NFS server");
    }
    if (facts_.seen_at_once && !*facts_.seen_at_once) {
      add(Severity::kProblem, "names",
          "what one connection made or removed is not so for another one",
          "nodes do not see each other's journals: SQLite reads half a transaction",
          "is there a cache or a proxy before the server? go past it");
    }
    if (facts_.whole_seconds) {
      add(Severity::kNote, "times", "the server keeps times in whole seconds",
          "a file that is changed twice within a second on the server itself looks unchanged to "
          "caches; changes through Holdfast are seen",
          "use a file system with finer times on the server");
    }
  }

  void speed() {
    if (facts_.round_trip && *facts_.round_trip > kRoundTripSlow) {
      add(Severity::kNote, "rtt",
          fmt::format("a call takes {:.1f} ms",
                      static_cast<double>(facts_.round_trip->count()) / 1e3),
          "a write transaction of SQLite makes about twenty calls, one after the other",
          "look for a slow link or a busy server; -o cache=tokens makes fewer calls");
    }
    if (facts_.stable_write && *facts_.stable_write > kStableWriteSlow) {
      add(Severity::kNote, "fsync",
          fmt::format("4 KiB are on stable storage after {} ms",
                      facts_.stable_write->count() / 1000),
          "every commit of a database waits that long, some of them three times",
          "use a faster disk, or a write cache that survives a power cut");
    } else if (facts_.stable_write && *facts_.stable_write < kStableWriteDoubtful) {
      add(Severity::kNote, "fsync",
          fmt::format("4 KiB are \"on stable storage\" after {} us: no disk is that fast",
                      facts_.stable_write->count()),
          "if the export is \"async\", a power cut of the server loses what fsync acknowledged, "
          "and "
          "may damage databases",
          "export it \"sync\", unless that is a write cache that survives a power cut");
    } else if (facts_.stable_write) {
      add(Severity::kFine, "fsync",
          fmt::format("4 KiB are on stable storage after {:.1f} ms",
                      static_cast<double>(facts_.stable_write->count()) / 1e3));
    }
    const std::uint32_t least = std::min(facts_.read_max, facts_.write_max);
    if (least != 0 && least < kTransferSmall) {
      add(Severity::kNote, "transfer",
          fmt::format("the server takes at most {} KiB at a time", least >> 10),
          "large files are slow", "raise the server's limit for rsize and wsize");
    }
  }

  void clock() {
    if (!facts_.clock_ahead) return;
    const milliseconds off = *facts_.clock_ahead;
    if (std::chrono::abs(off) < kClockOff) {
      add(Severity::kFine, "clock", "the clocks of server and node agree");
      return;
    }
    add(Severity::kNote, "clock",
        fmt::format("the server's clock is {:.1f} s {} this node's",
                    static_cast<double>(std::chrono::abs(off).count()) / 1e3,
                    off.count() > 0 ? "ahead of" : "behind"),
        "times of files mislead make, rsync and backups; Holdfast's leases do not depend on it",
        "run an NTP client on both");
  }

  void space() {
    if (!facts_.space) return;
    const fs::FilesystemStat& space = *facts_.space;
    if (space.total_bytes != 0 && space.available_bytes == 0) {
      add(Severity::kProblem, "space", name_ + " is full",
          "writes fail with ENOSPC; commits are refused, not half done", "free space there");
    } else if (space.total_bytes != 0 && space.available_bytes < kSpaceSmall) {
      add(Severity::kNote, "space",
          fmt::format("{} has {} MiB left", name_, space.available_bytes >> 20),
          "writes will fail with ENOSPC", "free space there");
    }
    if (space.total_files != 0 && space.available_files == 0) {
      add(Severity::kProblem, "inodes", name_ + " has no inode left",
          "no file can be made, not even a journal: databases cannot be written",
          "remove files there");
    } else if (space.total_files != 0 && space.available_files < kFilesSmall) {
      add(Severity::kNote, "inodes",
          fmt::format("{} has {} inodes left", name_, space.available_files),
          "soon no file can be made", "remove files there");
    }
  }

  void volume() {
    if (facts_.volume && facts_.expected && *facts_.volume != *facts_.expected) {
      add(Severity::kProblem, "volume",
          fmt::format("{} is volume {}, not {}", name_, fs::to_string(*facts_.volume),
                      fs::to_string(*facts_.expected)),
          "another disk is exported there: a mount of it is refused",
          "is the right disk mounted on the server?");
    } else if (facts_.volume) {
      add(Severity::kFine, "volume", fmt::format("it is volume {}", fs::to_string(*facts_.volume)));
    } else if (facts_.volume_error == ENOENT && facts_.expected) {
      add(Severity::kProblem, "volume",
          fmt::format("{} has no marker, so it is not volume {}", name_,
                      fs::to_string(*facts_.expected)),
          "probably the disk is not mounted on the server: an empty directory is exported",
          "mount the disk there");
    } else if (facts_.volume_error == ENOENT) {
      add(Severity::kFine, "volume", "no marker yet: the first mount makes it");
    } else if (facts_.volume_error == EUCLEAN) {
      add(Severity::kProblem, "volume", name_ + " has a marker that cannot be understood",
          "mounts are refused: nodes could disagree about which volume it is",
          "if no mount uses it, remove .holdfast-volume there and mount again");
    } else if (facts_.volume_error != 0) {
      add(Severity::kProblem, "volume",
          fmt::format("the marker of {} cannot be read: {}", name_,
                      std::strerror(facts_.volume_error)),
          "mounts are refused", "let everybody read .holdfast-volume");
    }
  }

  const ExportFacts& facts_;
  std::vector<Finding>& findings_;
  std::string name_;
};

}  // namespace

void judge_export(const ExportFacts& server, std::vector<Finding>& findings) {
  Export(server, findings).judge();
}

}  // namespace holdfast::cli
