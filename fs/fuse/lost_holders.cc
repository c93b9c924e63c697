#include "fs/fuse/lost_holders.h"

#include "fs/fuse/proc.h"
#include "holdfast/base/log.h"
#include "holdfast/base/mountinfo.h"

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

namespace holdfast::fs {
namespace {

namespace stdfs = std::filesystem;

struct Stat {
  pid_t parent = 0;
  std::uint64_t start = 0;
};

/// /proc/PID/stat: the name, in parentheses, may contain anything.
std::optional<Stat> stat_of(pid_t process) {
  std::ifstream file(proc_path(process, "stat"));
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  Stat out;
  std::string skipped;
  fields >> skipped >> out.parent;  // fields 3 and 4
  for (int number = 5; number < 22; ++number)
    fields >> skipped;
  fields >> out.start;
  if (!fields) return std::nullopt;
  return out;
}

std::optional<pid_t> number(const stdfs::path& path) {
  const std::string name = path.filename().string();
  pid_t out = 0;
  const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), out);
  if (failed != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return out;
}

}  // namespace

void LostHolders::lost(const Inodes& files) {
  if (files.empty()) return;
  files_.insert(files.begin(), files.end());
  std::size_t found = 0;
  std::error_code failed;
  for (stdfs::directory_iterator at("/proc", failed), end; !failed && at != end;
       at.increment(failed)) {
    const auto process = number(at->path());
    if (!process || !has_open(*process)) continue;
    if (const auto stat = stat_of(*process)) {
      losers_.insert({*process, stat->start});
      ++found;
    }
  }
  if (found == 0) somebody_unseen_ = true;
  log::warn("fuse.programs_lost_locks", "programs={}", found);
}

void LostHolders::keep(const Inodes& files) {
  std::erase_if(files_, [&](std::uint64_t file) { return !files.contains(file); });
  if (!files_.empty()) return;
  losers_.clear();
  somebody_unseen_ = false;
}

bool LostHolders::include(pid_t tid) {
  if (files_.empty()) return false;
  const auto process = process_of(tid);
  if (!process) return somebody_unseen_;
  pid_t at = *process;
  for (int i = 0; i < kAncestorsMax && at > 0; ++i) {
    const auto stat = stat_of(at);
    if (!stat) return false;
    if (const auto loser = losers_.find({at, stat->start}); loser != losers_.end()) {
      if (has_open(at)) return true;
      losers_.erase(loser);  // it has closed them: it knows
    }
    at = stat->parent;
  }
  return false;
}

bool LostHolders::has_open(pid_t process) const {
  std::size_t looked_at = 0;
  std::error_code failed;
  for (stdfs::directory_iterator at(proc_path(process, "fdinfo"), failed), end;
       !failed && at != end; at.increment(failed)) {
    if (++looked_at > kDescriptorsMax) return true;
    const std::string path = at->path().string();
    const auto inode =
        proc_field(path, "ino:");  // since Linux 5.14; before, any file of the mount counts
    if (inode && !files_.contains(*inode)) continue;
    const auto mount_id = proc_field(path, "mnt_id:");
    const std::string link = proc_path(process, "fd/") + at->path().filename().string();
    if (mount_id && on_our_device(process, *mount_id, link)) return true;
  }
  return false;
}

// Numbers of inodes repeat on other filesystems, and each mount namespace has its own mount ids.
bool LostHolders::on_our_device(pid_t process, std::uint64_t mount_id,
                                const std::string& link) const {
  for (const MountInfo& mount : read_mountinfo(proc_path(process, "mountinfo")))
    if (mount.id == mount_id) return mount.device == device_;
  // Not in the table: pipes and their like, which have no path; or a mount that was lazily
  // unmounted, perhaps ours.
  std::error_code failed;
  const auto target = stdfs::read_symlink(link, failed).string();
  return target.starts_with('/') && !target.starts_with("/memfd:");
}

}  // namespace holdfast::fs
