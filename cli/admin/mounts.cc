#include "cli/admin/mounts.h"

#include "holdfast/base/unique_fd.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

struct Said {
  int error = 0;
  std::uint64_t fileid = 0;
  std::uint32_t mode = 0;
  std::uint32_t device_major = 0;
  std::uint32_t device_minor = 0;
};

// After fork(): only what is safe there.
[[noreturn]] void look_and_tell(const char* path, int to) {
  struct stat status {};
  Said said;
  if (::stat(path, &status) != 0) said.error = errno;
  said.fileid = status.st_ino;
  said.mode = status.st_mode;
  said.device_major = major(status.st_dev);
  said.device_minor = minor(status.st_dev);
  [[maybe_unused]] const auto told = ::write(to, &said, sizeof said);
  ::_exit(0);
}

}  // namespace

Result<Looked> look_at(const std::string& path, std::chrono::milliseconds patience) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return errno_code(errno);
  const UniqueFd from(ends[0]);
  UniqueFd to(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return errno_code(errno);
  if (child == 0) look_and_tell(path.c_str(), to.get());
  to.reset();
  pollfd ready{from.get(), POLLIN, 0};
  int polled = 0;
  do {
    polled = ::poll(&ready, 1, static_cast<int>(patience.count()));
  } while (polled < 0 && errno == EINTR);
  Said said;
  const bool complete = polled > 0 && ::read(from.get(), &said, sizeof said) == sizeof said;
  // Stuck in the kernel it dies when the mount goes on; nobody waits for it.
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, complete ? 0 : WNOHANG);
  if (!complete) return errno_code(ETIMEDOUT);
  if (said.error != 0) return errno_code(said.error);
  return Looked{.device = fmt::format("{}:{}", said.device_major, said.device_minor),
                .fileid = said.fileid,
                .mode = said.mode};
}

std::string plain_path(const std::string& path) {
  std::error_code ignored;
  std::string plain = std::filesystem::absolute(path, ignored).lexically_normal().string();
  while (plain.size() > 1 && plain.back() == '/')
    plain.pop_back();
  return plain;
}

const MountInfo* mount_over(const std::vector<MountInfo>& lines, std::string_view path) {
  const MountInfo* best = nullptr;
  for (const MountInfo& line : lines) {
    const std::string_view at = line.path;
    const bool over = at == "/" || path == at ||
                      (path.starts_with(at) && path.size() > at.size() && path[at.size()] == '/');
    // The later of two at one place is on top.
    if (over && (best == nullptr || at.size() >= best->path.size())) best = &line;
  }
  return best;
}

}  // namespace holdfast::cli
