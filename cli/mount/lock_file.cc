#include "cli/mount/lock_file.h"

#include <cerrno>
#include <chrono>
#include <thread>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

bool has_the_name(const UniqueFd& file, const std::string& path) {
  struct stat ours {};
  struct stat named {};
  return ::fstat(file.get(), &ours) == 0 && ::stat(path.c_str(), &named) == 0 &&
         ours.st_ino == named.st_ino;
}

}  // namespace

Result<UniqueFd> hold_lock_file(const std::string& path, mode_t mode) {
  constexpr int kTriesMax = 50;
  for (int i = 0; i < kTriesMax; ++i) {
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, mode));
    if (!file) return errno_code(errno);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0 && has_the_name(file, path)) return file;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return errno_code(EWOULDBLOCK);
}

}  // namespace holdfast::cli
