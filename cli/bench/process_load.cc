#include "cli/bench/process_load.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::bench {

// /proc/PID/stat counts in ticks of 10 ms; schedstat (Documentation/scheduler/sched-stats.rst) in
// nanoseconds, for each thread.
std::optional<std::chrono::nanoseconds> cpu_time(pid_t pid) {
  std::int64_t sum = 0;
  bool found = false;
  std::error_code failed;
  for (const auto& task :
       std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), failed)) {
    std::int64_t ran = 0;
    if (std::ifstream(task.path() / "schedstat") >> ran) {
      sum += ran;
      found = true;
    }
  }
  if (!found) return std::nullopt;
  return std::chrono::nanoseconds(sum);
}

std::optional<std::uint64_t> resident_size(pid_t pid) {
  std::uint64_t size = 0;
  std::uint64_t resident = 0;
  if (!(std::ifstream(fmt::format("/proc/{}/statm", pid)) >> size >> resident)) return std::nullopt;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::optional<std::size_t> open_descriptors(pid_t pid) {
  std::error_code failed;
  const std::filesystem::directory_iterator all(fmt::format("/proc/{}/fd", pid), failed);
  if (failed) return std::nullopt;
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

}  // namespace holdfast::bench
