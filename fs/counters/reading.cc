#include "fs/counters/reading.h"

#include "fs/counters/counters.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string_view>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace holdfast::fs::counters {
namespace {

/// A device number is used again; only the mount table says whose it is now.
bool is_holdfast(const std::string& device) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);)
    if (line.find(" " + device + " ") != std::string::npos &&
        line.find(" - fuse.holdfast ") != std::string::npos)
      return true;
  return false;
}

}  // namespace

void Reading::Unmap::operator()(const Page* page) const {
  ::munmap(const_cast<Page*>(page), sizeof(Page));  // NOLINT: munmap takes no const
}

std::optional<Reading> Reading::of(const std::string& directory,
                                   const std::vector<std::string>& where) {
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0 || major(status.st_dev) != 0) return std::nullopt;
  const std::string connection = std::to_string(minor(status.st_dev));
  if (!is_holdfast("0:" + connection)) return std::nullopt;
  for (const std::string& place : where)
    if (auto found = open(file_of(place, connection))) return found;
  return std::nullopt;
}

std::optional<Reading> Reading::open(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return std::nullopt;
  // Whoever owns it can cut it short under our eyes, which would end us with SIGBUS.
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) return std::nullopt;
  if (!S_ISREG(status.st_mode) || status.st_size != sizeof(Page)) return std::nullopt;
  if (::flock(file.get(), LOCK_SH | LOCK_NB) == 0) return std::nullopt;  // its writer is dead
  void* const at = ::mmap(nullptr, sizeof(Page), PROT_READ, MAP_SHARED, file.get(), 0);
  if (at == MAP_FAILED) return std::nullopt;
  std::unique_ptr<const Page, Unmap> page(static_cast<const Page*>(at));
  if (page->magic.data() != kMagic || page->version != kVersion) return std::nullopt;
  return Reading(std::move(file), std::move(page));
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
      std::min<std::size_t>(page_->used.load(std::memory_order_acquire), kCountersMax);
  for (std::size_t i = 0; i < used; ++i) {
    const Cell& cell = page_->cells[i];
    const auto end = std::find(cell.name.begin(), cell.name.end(), '\0');
    const auto value = cell.value.load(std::memory_order_relaxed);
    std::string name(cell.name.begin(), end);
    if (value != 0 && wanted(name)) out.emplace(name.substr(prefix.size()), value);
  }
  return out;
}

}  // namespace holdfast::fs::counters
