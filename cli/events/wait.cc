#include "cli/events/wait.h"

#include "cli/admin/listing.h"
#include "cli/admin/lock_view.h"
#include "cli/admin/who_report.h"
#include "fs/state/names.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kNamedMax = 3;

std::string printable(std::string text, std::size_t size_max) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  if (text.size() <= size_max) return text;
  return text.substr(0, size_max - 3) + "...";
}

/// As Kubernetes takes them; what is not goes into no address of a request.
bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

std::string program(const LockView& lock) {
  if (lock.pid == 0) return "a program";
  if (lock.process.name.empty()) return fmt::format("process {}", lock.pid);
  return fmt::format("process {} ({})", lock.pid, lock.process.name);
}

std::string holder_text(const LockView& lock) {
  const std::string pod =
      lock.process.pod_uid.empty() ? std::string() : " of pod " + pod_text(lock.process);
  const std::string what = lock.state == LockState::kWaiting
                               ? std::string("waits too, before it")
                               : fmt::format("has it for {}", age_text(lock.age));
  return fmt::format("{}{} on node {} ({})", program(lock), pod, cell(lock.node), what);
}

/// Those that the pod's locks wait for; who holds comes before who waits too.
std::vector<const LockView*> in_the_way(const std::vector<LockView>& locks,
                                        const std::vector<const LockView*>& ours) {
  std::set<std::size_t> indices;
  for (const LockView* one : ours)
    indices.insert(one->behind.begin(), one->behind.end());
  std::vector<const LockView*> out;
  for (const std::size_t index : indices)
    if (std::find(ours.begin(), ours.end(), &locks[index]) == ours.end())
      out.push_back(&locks[index]);
  std::stable_sort(out.begin(), out.end(), [](const LockView* a, const LockView* b) {
    return (a->state == LockState::kWaiting) < (b->state == LockState::kWaiting);
  });
  // One program may have many locks in the way; it is named once.
  std::set<std::pair<SessionId, std::uint32_t>> seen;
  std::erase_if(out, [&](const LockView* one) {
    return one->pid != 0 && !seen.insert({one->session, one->pid}).second;
  });
  return out;
}

std::string identity(const LockView& lock) {
  return fmt::format("{:016x}/{}/{:016x} ", lock.session.value, lock.pid,
                     lock.pid == 0 ? lock.owner.value : 0);
}

std::string behind_text(const std::vector<const LockView*>& behind, const WhoAnswer& who) {
  std::string out;
  for (std::size_t i = 0; i < std::min(behind.size(), kNamedMax); ++i)
    out += (i == 0 ? "" : "; ") + holder_text(*behind[i]);
  if (behind.size() > kNamedMax) out += fmt::format("; and {} more", behind.size() - kNamedMax);
  if (!out.empty()) return out;
  const auto notes = who_notes(who);
  return notes.empty() ? std::string("not known yet") : "not known: " + notes.front();
}

std::string advice(const std::vector<const LockView*>& behind) {
  const bool held = !behind.empty() && behind.front()->state == LockState::kHeld;
  if (!held) return "On a node that has the volume, holdfast who FILE says more";
  const ProcessInfo& process = behind.front()->process;
  if (process.pod.empty()) return "It goes on when that program unlocks the file or ends";
  return fmt::format("It goes on when that program unlocks the file or ends: kubectl -n {} logs {}",
                     process.ns, process.pod);
}

}  // namespace

bool may_have_old_wait(const fs::state::Snapshot& state, std::uint64_t now, milliseconds after) {
  // The page may not show all. (On a busy mount some have been answered while it was read.)
  const bool crowded = state.open.size() >= fs::state::kRequestsMax / 2;
  if (crowded && state.requests > state.open.size()) return true;
  const auto age = static_cast<std::uint64_t>(after.count());
  return std::any_of(state.open.begin(), state.open.end(), [&](const auto& request) {
    return fs::state::may_wait(request.operation) && request.since + age <= now;
  });
}

Waits waits_of(const WhoAnswer& own, const std::string& connection, milliseconds after) {
  Waits out;
  std::map<WaitKey, Wait> found;
  for (const WhoMount& mount : own.mounts) {
    for (const ToldLock& lock : mount.locks) {
      if (lock.state != ToldState::kWaiting || lock.age < after) continue;
      const ProcessInfo& process = lock.process;
      if (process.pod_uid.empty()) continue;  // no pod's: nobody to tell
      if (!is_name(process.pod) || !is_name(process.ns)) {
        ++out.nameless;
        continue;
      }
      const WaitKey key{connection, process.pod_uid, lock.file.fileid};
      const auto [at, fresh] = found.try_emplace(key);
      Wait& wait = at->second;
      if (!fresh) ++wait.others;
      if (!fresh && wait.age >= lock.age) continue;
      wait.key = key;
      wait.pod = {process.ns, process.pod, process.pod_uid};
      wait.age = lock.age;
      wait.pid = lock.pid;
      wait.process = process.name;
    }
  }
  for (auto& [key, wait] : found)
    out.all.push_back(std::move(wait));
  std::stable_sort(out.all.begin(), out.all.end(),
                   [](const Wait& a, const Wait& b) { return a.age > b.age; });
  return out;
}

Told tell(const Wait& wait, const WhoAnswer& who, SessionId session, std::string_view source) {
  std::vector<LockView> locks = views_of(who);
  find_behind(locks);
  std::vector<const LockView*> ours;
  for (const LockView& lock : locks)
    if (lock.state == LockState::kWaiting && lock.session == session &&
        lock.process.pod_uid == wait.pod.uid)
      ours.push_back(&lock);
  const auto behind = in_the_way(locks, ours);
  const LockView* longest = ours.empty() ? nullptr : ours.front();
  for (const LockView* one : ours)
    if (one->age > longest->age) longest = one;

  const std::string which =
      longest == nullptr
          ? std::string("a lock")
          : fmt::format("{} {} lock ({})", longest->mode == LockMode::kExclusive ? "an" : "a",
                        mode_text(longest->mode), what_text(*longest, locks));
  const std::string others =
      wait.others == 0 ? std::string() : fmt::format(", and {} more of this pod", wait.others);
  Told told;
  told.note = printable(
      fmt::format("Process {} ({}){} has waited {} for {} on file number {} of {}. In its way: {}. "
                  "{}. (find DIRECTORY -inum {} names the file)",
                  wait.pid, wait.process, others, age_text(wait.age), which, wait.key.fileid,
                  source, behind_text(behind, who), advice(behind), wait.key.fileid),
      kNoteMax);
  for (const LockView* one : behind)
    told.behind += identity(*one);
  if (!behind.empty() && !behind.front()->process.pod.empty()) {
    const ProcessInfo& process = behind.front()->process;
    told.holder = Pod{process.ns, process.pod, process.pod_uid};
  }
  return told;
}

}  // namespace holdfast::cli
