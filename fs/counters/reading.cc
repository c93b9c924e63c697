#include "fs/counters/reading.h"

#include "fs/counters/counters.h"
#include "holdfast/base/mountinfo.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace holdfast::fs::counters {
namespace {

/// A device number is used again; only the mount table says whose it is now.
bool is_holdfast(const std::string& connection) {
  const auto mounts = read_mountinfo();
  return std::any_of(mounts.begin(), mounts.end(), [&](const MountInfo& mount) {
    return mount.is_holdfast() && mount.connection() == connection;
  });
}

}  // namespace

std::optional<Reading> Reading::of(const std::string& directory,
                                   const std::vector<std::string>& where) {
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0 || major(status.st_dev) != 0) return std::nullopt;
  const std::string connection = std::to_string(minor(status.st_dev));
  if (!is_holdfast(connection)) return std::nullopt;
  for (const std::string& place : where)
    if (auto found = open(file_of(place, connection))) return found;
  return std::nullopt;
}

std::optional<Reading> Reading::open(const std::string& path) {
  auto view = published::View::open(path, kKind);
  if (!view || !view->writer_lives()) return std::nullopt;
  return Reading(*std::move(view));
}

Counts Reading::counts() const {
  return cells("");
}

Gauges Reading::gauges() const {
  return cells(kGauge);
}

Timings Reading::timings() const {
  Timings out;
  for (const auto& [cell, value] : cells(kTiming)) {
    const auto dot = cell.rfind('.');
    if (dot == std::string::npos) continue;
    Histogram& histogram = out[cell.substr(0, dot)];
    std::size_t bucket = 0;
    if (cell.substr(dot) == kTimingSum) {
      histogram.sum = std::chrono::microseconds(value);
    } else if (std::from_chars(cell.data() + dot + 1, cell.data() + cell.size(), bucket).ec ==
                   std::errc{} &&
               bucket < Histogram::kBuckets) {
      histogram.buckets[bucket] = value;
    }
  }
  return out;
}

Counts Reading::cells(std::string_view prefix) const {
  const auto wanted = [&](std::string_view name) {
    if (!prefix.empty()) return name.starts_with(prefix);
    return !name.starts_with(kGauge) && !name.starts_with(kTiming);
  };
  Counts out;
  const auto used =
      std::min<std::size_t>(page().used.load(std::memory_order_acquire), kCountersMax);
  for (std::size_t i = 0; i < used; ++i) {
    const Cell& cell = page().cells[i];
    const auto end = std::find(cell.name.begin(), cell.name.end(), '\0');
    const auto value = cell.value.load(std::memory_order_relaxed);
    std::string name(cell.name.begin(), end);
    if (value != 0 && wanted(name)) out.emplace(name.substr(prefix.size()), value);
  }
  return out;
}

}  // namespace holdfast::fs::counters
