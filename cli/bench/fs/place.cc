#include "cli/bench/fs/place.h"

#include "cli/bench/own_lockd.h"
#include "cli/runtime_directory.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sys/stat.h>

namespace holdfast::bench::fs {
namespace {

namespace stdfs = std::filesystem;
using holdfast::fs::counters::Reading;

/// Requests nobody waits for (RELEASE, FORGET, an attribute asked again) follow within this time.
constexpr std::chrono::milliseconds kQuiet{20};
constexpr std::chrono::seconds kQuietPatience{2};

/// Comes by the clock, however much or little is done.
bool is_upkeep(const std::string& counter) {
  constexpr std::string_view kUpkeep[] = {"lockd.hello", "lockd.renew", "lockd.goodbye",
                                          "lockd.reclaim"};
  return std::find(std::begin(kUpkeep), std::end(kUpkeep), counter) != std::end(kUpkeep);
}

}  // namespace

Place::Place(PlaceName name) : name_(std::move(name)) {
  std::string pattern = stdfs::path(name_.dirs.front()) / "holdfast-bench.XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) {
    throw SetupError(fmt::format(
        "cannot create a directory in {}: {}. Name one that exists and that you may write to",
        name_.dirs.front(), std::strerror(errno)));
  }
  const std::string own = stdfs::path(pattern).filename();
  for (const std::string& dir : name_.dirs) {
    paths_.push_back(stdfs::path(dir) / own);
    struct stat status {};
    if (::stat(paths_.back().c_str(), &status) != 0) {
      std::error_code ignored;
      stdfs::remove(pattern, ignored);
      throw SetupError(
          fmt::format("{} does not show what was made in {}. Name mounts of one file system", dir,
                      name_.dirs.front()));
    }
    auto reading = Reading::of(paths_.back(), cli::published_directories());
    if (reading) readings_.push_back(std::move(*reading));
  }
  if (readings_.size() != name_.dirs.size()) readings_.clear();
}

Place::~Place() {
  std::error_code ignored;
  stdfs::remove_all(paths_.front(), ignored);
}

Counts Place::counts() const {
  Counts sum;
  for (const Reading& one : readings_)
    for (const auto& [name, value] : one.counts())
      sum[name] += value;
  std::erase_if(sum, [](const auto& one) { return is_upkeep(one.first); });
  return sum;
}

std::optional<Counts> Place::settled_counts() const {
  if (readings_.empty()) return std::nullopt;
  const auto until = std::chrono::steady_clock::now() + kQuietPatience;
  Counts last = counts();
  while (std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kQuiet);
    Counts now = counts();
    if (now == last) break;
    last = std::move(now);
  }
  return last;
}

Counts difference(const Counts& after, const Counts& before) {
  Counts out;
  for (const auto& [name, value] : after) {
    const auto found = before.find(name);
    const std::uint64_t old = found == before.end() ? 0 : found->second;
    if (value > old) out.emplace(name, value - old);
  }
  return out;
}

}  // namespace holdfast::bench::fs
