#include "fs/fuse/proc.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace holdfast::fs {

std::string proc_path(pid_t process, std::string_view file) {
  return "/proc/" + std::to_string(process) + "/" + std::string(file);
}

std::optional<std::uint64_t> proc_field(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    return std::strtoull(line.c_str() + name.size(), nullptr, 10);
  }
  return std::nullopt;
}

std::optional<pid_t> process_of(pid_t tid) {
  if (tid <= 0) return std::nullopt;
  const auto process = proc_field(proc_path(tid, "status"), "Tgid:");
  if (!process) return std::nullopt;
  return static_cast<pid_t>(*process);
}

bool is_ending(pid_t tid) {
  const auto process = process_of(tid);
  if (!process) return true;
  std::error_code failed;
  const std::filesystem::directory_iterator files(proc_path(*process, "fd"), failed);
  return failed || files == std::filesystem::directory_iterator();
}

}  // namespace holdfast::fs
