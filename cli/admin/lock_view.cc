#include "cli/admin/lock_view.h"

#include "cli/admin/listing.h"
#include "fs/core/derived_key.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

// os_unix.c: PENDING_BYTE to the end of SHARED_SIZE.
constexpr std::uint64_t kLockBytesStart = 0x40000000;
constexpr std::uint64_t kLockBytesEnd = kLockBytesStart + 512;

bool on_lock_bytes(const ByteRange& range) {
  return range.start() < kLockBytesEnd && range.end() > kLockBytesStart;
}

LockView view_of(const ToldLock& told, const SessionInfo& session) {
  LockView view;
  view.state = told.state == ToldState::kWaiting ? LockState::kWaiting : LockState::kHeld;
  view.session = session.session;
  view.node = session.node;
  view.volume_name = session.volume_name;
  view.file = told.file;
  view.space = told.space;
  view.mode = told.mode;
  view.range = told.range;
  view.owner = told.owner;
  view.pid = told.pid;
  view.age = told.age;
  view.here = told.here;
  view.process = told.process;
  return view;
}

// By the process's number; where lockd has none, by the owner.
void add_process(LockView& view, const WhoMount& mount) {
  for (const ToldLock& told : mount.locks) {
    const bool same_owner = told.owner == view.owner && told.space == view.space;
    if (view.pid != 0 ? told.pid != view.pid : !same_owner) continue;
    view.process = told.process;
    if (view.pid == 0) view.pid = told.pid;
    return;
  }
}

bool overlap(const ByteRange& a, const ByteRange& b) {
  return a.start() < b.end() && b.start() < a.end();
}

bool in_the_way(const LockView& of, const LockView& other) {
  if (other.state == LockState::kWalOwner || of.space != other.space) return false;
  if (of.session == other.session && of.owner == other.owner) return false;
  if (of.mode == LockMode::kShared && other.mode == LockMode::kShared) return false;
  if (!overlap(of.range, other.range)) return false;
  return other.state == LockState::kHeld || other.age > of.age;
}

}  // namespace

std::vector<LockView> views_of(const std::vector<LockInfo>& locks) {
  std::vector<LockView> views;
  views.reserve(locks.size());
  for (const LockInfo& info : locks)
    static_cast<LockInfo&>(views.emplace_back()) = info;
  return views;
}

std::vector<LockView> views_of(const WhoAnswer& answer) {
  std::vector<LockView> views = views_of(answer.locks);
  for (const WhoMount& mount : answer.mounts) {
    for (LockView& view : views)
      if (view.session == mount.session.session) add_process(view, mount);
    for (const ToldLock& told : mount.locks)
      if (told.here || !answer.from_lockd) views.push_back(view_of(told, mount.session));
  }
  std::stable_sort(views.begin(), views.end(), [](const LockView& a, const LockView& b) {
    return (a.state == LockState::kWaiting) < (b.state == LockState::kWaiting);
  });
  return views;
}

void find_behind(std::vector<LockView>& locks) {
  std::map<std::pair<std::string, FileKey>, std::vector<std::size_t>> files;
  for (std::size_t i = 0; i < locks.size(); ++i)
    files[{locks[i].volume_name, locks[i].file}].push_back(i);
  for (const auto& [file, indices] : files) {
    for (const std::size_t i : indices) {
      if (locks[i].state != LockState::kWaiting) continue;
      for (const std::size_t other : indices)
        if (other != i && in_the_way(locks[i], locks[other])) locks[i].behind.push_back(other);
    }
  }
}

std::string what_text(const LockView& lock, const std::vector<LockView>& all) {
  if (lock.state == LockState::kWalOwner) return "wal-index";
  const bool whole = lock.range == ByteRange::whole_file();
  std::string out = whole ? "whole file" : range_text(lock.range);
  const bool of_wal_index = std::any_of(all.begin(), all.end(), [&](const LockView& other) {
    return lock.file == fs::derive(other.file, fs::DerivedKey::kWalIndex) &&
           (other.state == LockState::kWalOwner || on_lock_bytes(other.range));
  });
  return of_wal_index ? out + " of -shm" : out;
}

std::string process_text(const LockView& lock) {
  if (lock.pid == 0) return "-";
  if (!lock.process.name.empty()) return fmt::format("{} {}", lock.pid, cell(lock.process.name));
  return std::to_string(lock.pid);
}

std::string pod_text(const ProcessInfo& process) {
  if (!process.pod.empty()) return cell(fmt::format("{}/{}", process.ns, process.pod));
  if (!process.pod_uid.empty()) return cell("pod " + process.pod_uid);
  return "-";
}

}  // namespace holdfast::cli
