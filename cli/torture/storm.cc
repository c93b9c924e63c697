#include "cli/torture/storm.h"

#include "cli/runtime_directory.h"

#include <chrono>
#include <set>

#include <fmt/format.h>
#include <sys/stat.h>

namespace holdfast::torture {
namespace {
using fs::counters::Reading;

/// The counters of each mount once, however many of the directories lie in it.
std::vector<Reading> counters_of(const std::vector<std::string>& dirs) {
  std::vector<Reading> out;
  std::set<dev_t> seen;
  for (const auto& dir : dirs) {
    struct stat status {};
    if (::stat(dir.c_str(), &status) != 0) return {};
    if (!seen.insert(status.st_dev).second) continue;
    auto reading = Reading::of(dir, cli::published_directories());
    if (!reading) return {};
    out.push_back(std::move(*reading));
  }
  return out;
}
}  // namespace

Storm::Storm(Arena& arena, const StormLimits& limits) : arena_(arena) {
  const unsigned workers = arena.options().storm;
  if (workers == 0) return;
  mounts_ = counters_of(arena.options().dirs);
  before_ = moves();
  arena.shared().storm_over = false;
  arena.shared().storm_ops = 0;
  for (unsigned number = 0; number < workers; ++number)
    pids_.push_back(
        arena.herd().start([&arena, limits, number] { return blow(arena, limits, number); }));
}

void Storm::stop() {
  arena_.shared().storm_over = true;
  const std::chrono::seconds patience(arena_.options().patience_s);
  for (const pid_t pid : pids_) {
    const auto status = wait_end(pid, patience);
    if (!status) {
      arena_.report({"a process of the storm is stuck", "", what_is_it_doing(pid)});
      kill_and_wait(pid);
    } else if (*status != 0) {
      arena_.report(
          {"a process of the storm failed", "", fmt::format("wait status {:#x}", *status)});
    }
  }
  pids_.clear();
  arena_.shared().turn = 0;
}

std::optional<std::string> Storm::note() const {
  if (arena_.options().storm == 0) return std::nullopt;
  auto text = fmt::format("storm: {} operations", arena_.shared().storm_ops.load());
  if (mounts_.empty()) return text;
  const Moves now = moves();
  return text + fmt::format(", {} tokens given up, {} times with locks",
                            now.tokens - before_.tokens, now.locks - before_.locks);
}

Storm::Moves Storm::moves() const {
  Moves sum;
  for (const Reading& mount : mounts_) {
    auto counts = mount.counts();
    sum.tokens += counts["lockd.token_release"];
    sum.locks += counts["lockd.push_locks"];
  }
  return sum;
}

}  // namespace holdfast::torture
