// Who waits, of a listing of locks.
#include "cli/admin/listing.h"
#include "cli/admin/lock_view.h"
#include "cli/admin/table.h"
#include "holdfast/base/json.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::size_t kBehindShownMax = 3;

struct Waiting {
  std::vector<LockView> locks;
  std::vector<std::size_t> order;  // of the waiters among them, the longest first
};

Waiting waiting_of(const std::vector<LockInfo>& locks) {
  Waiting all{.locks = views_of(locks), .order = {}};
  find_behind(all.locks);
  for (std::size_t i = 0; i < all.locks.size(); ++i)
    if (all.locks[i].state == LockState::kWaiting) all.order.push_back(i);
  std::stable_sort(all.order.begin(), all.order.end(), [&](std::size_t a, std::size_t b) {
    return all.locks[a].age > all.locks[b].age;
  });
  return all;
}

std::string name_of(const LockView& lock) {
  return fmt::format("{} {}{}", cell(lock.node), process_text(lock),
                     lock.state == LockState::kWaiting ? " (waits too)" : "");
}

std::string behind_text(const Waiting& all, const LockView& lock) {
  std::string out;
  for (std::size_t i = 0; i < std::min(lock.behind.size(), kBehindShownMax); ++i)
    out += (out.empty() ? "" : ", ") + name_of(all.locks[lock.behind[i]]);
  if (lock.behind.size() > kBehindShownMax)
    out += fmt::format(" and {} more", lock.behind.size() - kBehindShownMax);
  return out.empty() ? "-" : out;
}

std::string holder_json(const LockView& lock) {
  return fmt::format(R"({{"state":"{}","node":{},"pid":{},"session":"{:016x}","token":{}}})",
                     state_text(lock.state), json_string(lock.node), lock.pid, lock.session.value,
                     lock.token.value);
}

}  // namespace

std::string waiters_table(const LockList& list) {
  const Waiting all = waiting_of(list.locks);
  if (all.order.empty()) return "nobody waits\n";
  std::vector<Row> rows{
      {"NODE", "PID", "KIND", "MODE", "RANGE", "SINCE", "FILEID", "VOLUME", "BEHIND"}};
  for (const std::size_t index : all.order) {
    const LockView& lock = all.locks[index];
    rows.push_back({cell(lock.node), process_text(lock), std::string(space_text(lock.space)),
                    std::string(mode_text(lock.mode)), range_text(lock.range), age_text(lock.age),
                    std::to_string(lock.file.fileid), cell(lock.volume_name),
                    behind_text(all, lock)});
  }
  return table(rows) + (list.truncated ? "there are more: only the first are shown\n" : "");
}

std::string waiters_json(const std::vector<LockList>& lists) {
  std::string out;
  bool truncated = false;
  for (const LockList& list : lists) {
    const Waiting all = waiting_of(list.locks);
    truncated = truncated || list.truncated;
    for (const std::size_t index : all.order) {
      const LockView& lock = all.locks[index];
      std::string behind;
      for (const std::size_t other : lock.behind)
        behind += (behind.empty() ? "" : ",") + holder_json(all.locks[other]);
      out += fmt::format(
          R"({}{{"node":{},"pid":{},"session":"{:016x}","volume":{},"fileid":{},"kind":"{}",)"
          R"("mode":"{}","range":"{}","age_ms":{},"behind":[{}]}})",
          out.empty() ? "" : ",", json_string(lock.node), lock.pid, lock.session.value,
          json_string(lock.volume_name), lock.file.fileid, space_text(lock.space),
          mode_text(lock.mode), range_text(lock.range), lock.age.count(), behind);
    }
  }
  return fmt::format("{{\"waiters\":[{}],\"truncated\":{}}}\n", out, truncated);
}

}  // namespace holdfast::cli
