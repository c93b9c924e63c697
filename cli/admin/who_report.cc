#include "cli/admin/who_report.h"

#include "cli/admin/listing.h"
#include "cli/admin/lock_view.h"
#include "cli/admin/table.h"
#include "holdfast/base/json.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::size_t kBehindShownMax = 3;

std::string behind_text(const LockView& lock, const std::vector<LockView>& all) {
  std::set<std::string> names;
  for (const std::size_t index : lock.behind) {
    const LockView& other = all[index];
    names.insert(fmt::format("{} {}{}", cell(other.node), process_text(other),
                             other.state == LockState::kWaiting ? " (waits too)" : ""));
  }
  if (names.empty()) return "-";
  const std::size_t more = names.size() - std::min(names.size(), kBehindShownMax);
  std::string out;
  for (const std::string& name : names) {
    if (std::distance(names.begin(), names.find(name)) >= static_cast<long>(kBehindShownMax)) break;
    out += (out.empty() ? "" : ", ") + name;
  }
  return more == 0 ? out : fmt::format("{} and {} more", out, more);
}

std::string name_of(const WhoMount& mount) {
  return fmt::format("node {} (mounted at {})", cell(mount.session.node),
                     cell(mount.session.mountpoint));
}

bool decides_itself(const WhoMount& mount) {
  return mount.has_volume || mount.token == TokenMode::kRead ||
         mount.token == TokenMode::kExclusive;
}

bool holds(const WhoAnswer& answer, SessionId session) {
  return std::any_of(answer.locks.begin(), answer.locks.end(),
                     [&](const LockInfo& lock) { return lock.session == session; });
}

std::string lock_json(const LockView& lock) {
  std::string behind;
  for (const std::size_t index : lock.behind)
    behind += (behind.empty() ? "" : ",") + std::to_string(index);
  const bool to_end = lock.range.end() == ByteRange::kEnd;
  return fmt::format(
      R"({{"state":"{}","node":{},"pid":{},"process":{},"namespace":{},"pod":{},"pod_uid":{},)"
      R"("container":{},"kind":"{}","mode":"{}","start":{},"end":{},"range":"{}","age_ms":{},)"
      R"("decided":"{}","behind":[{}],"token":{},"owner":"{:016x}","session":"{:016x}"}})",
      state_text(lock.state), json_string(lock.node), lock.pid, json_string(lock.process.name),
      json_string(lock.process.ns), json_string(lock.process.pod),
      json_string(lock.process.pod_uid), json_string(lock.process.container),
      space_text(lock.space), mode_text(lock.mode), lock.range.start(),
      to_end ? "null" : std::to_string(lock.range.end()), range_text(lock.range), lock.age.count(),
      lock.here ? "mount" : "lockd", behind, lock.token.value, lock.owner.value,
      lock.session.value);
}

}  // namespace

std::vector<std::string> who_notes(const WhoAnswer& answer) {
  std::vector<std::string> notes;
  if (!answer.from_lockd) {
    notes.emplace_back(
        "lockd does not answer this mount: only what this mount knows by itself is shown");
  }
  if (answer.grace) {
    notes.emplace_back(
        "lockd has just started and does not know yet who held what: look again in some seconds");
  }
  for (const WhoMount& mount : answer.mounts) {
    const bool away = mount.session.phase != SessionPhase::kLive;
    if (away && (holds(answer, mount.session.session) || decides_itself(mount))) {
      notes.push_back(fmt::format(
          "{} is out of reach ({}): its locks stand until somebody wants them and it is fenced",
          name_of(mount), phase_text(mount.session)));
    }
    if (mount.told) continue;
    if (decides_itself(mount)) {
      notes.push_back(
          fmt::format("{} decides locks of this file itself and did not answer: it may "
                      "hold locks that are not shown",
                      name_of(mount)));
    } else if (!away && holds(answer, mount.session.session)) {
      notes.push_back(fmt::format("{} did not say which processes these are: it hangs, or is older",
                                  name_of(mount)));
    }
  }
  if (answer.truncated) notes.emplace_back("there are more: only the first are shown");
  return notes;
}

std::string who_text(const WhoAnswer& answer, std::string_view path) {
  std::vector<LockView> locks = views_of(answer);
  find_behind(locks);
  std::string out;
  if (locks.empty()) {
    out = fmt::format("nobody has or wants a lock on {}\n", cell(path));
  } else {
    std::vector<Row> rows{
        {"STATE", "NODE", "PROCESS", "POD", "KIND", "MODE", "RANGE", "SINCE", "BEHIND"}};
    for (const LockView& lock : locks) {
      const bool wal = lock.state == LockState::kWalOwner;
      rows.push_back({std::string(state_text(lock.state)), cell(lock.node), process_text(lock),
                      pod_text(lock.process), wal ? "-" : std::string(space_text(lock.space)),
                      std::string(mode_text(lock.mode)), what_text(lock, locks),
                      wal ? "-" : age_text(lock.age), behind_text(lock, locks)});
    }
    out = table(rows);
  }
  for (const std::string& note : who_notes(answer))
    out += "note: " + note + "\n";
  return out;
}

std::string who_json(const WhoAnswer& answer, std::string_view path, std::uint64_t fileid) {
  std::vector<LockView> locks = views_of(answer);
  find_behind(locks);
  std::string entries;
  for (const LockView& lock : locks)
    entries += (entries.empty() ? "" : ",") + lock_json(lock);
  std::string notes;
  for (const std::string& note : who_notes(answer))
    notes += (notes.empty() ? "" : ",") + json_string(note);
  return fmt::format(
      R"({{"path":{},"fileid":{},"from_lockd":{},"truncated":{},"locks":[{}],"notes":[{}]}}{})",
      json_string(path), fileid, answer.from_lockd, answer.truncated, entries, notes, '\n');
}

}  // namespace holdfast::cli
