#include "cli/bench/process_load.h"

#include <filesystem>
#include <fstream>

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

}  // namespace holdfast::bench
