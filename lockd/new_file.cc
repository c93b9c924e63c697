#include "lockd/new_file.h"

#include "holdfast/base/unique_fd.h"

#include <cerrno>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::lockd {
namespace {

namespace stdfs = std::filesystem;

ErrorCode last_error() {
  return errno_code(errno);
}

std::string directory_of(const std::string& path) {
  const std::string parent = stdfs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<void> give_to_owner_of(const std::string& directory, int fd) {
  struct stat status {};
  if (::geteuid() != 0) return boost::system::in_place_value;
  if (::stat(directory.c_str(), &status) != 0 || ::fchown(fd, status.st_uid, status.st_gid) != 0)
    return last_error();
  return boost::system::in_place_value;
}

Result<void> write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return last_error();
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) return last_error();
  return boost::system::in_place_value;
}

Result<void> fill(int fd, const std::string& path, std::string_view text) {
  if (auto given = give_to_owner_of(directory_of(path), fd); !given) return given;
  return write_all(fd, text);
}

void sync_directory(const std::string& path) {
  const UniqueFd directory(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) static_cast<void>(::fsync(directory.get()));
}

}  // namespace

Result<void> write_new_file(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return last_error();
  auto filled = fill(fd.get(), path, text);
  if (!filled) ::unlink(path.c_str());
  sync_directory(path);
  return filled;
}

Result<void> replace_file(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());  // of one that died here
  if (auto written = write_new_file(fresh, text); !written) return written;
  if (::rename(fresh.c_str(), path.c_str()) == 0) {
    sync_directory(path);
    return boost::system::in_place_value;
  }
  const ErrorCode error = last_error();
  ::unlink(fresh.c_str());
  return error;
}

Result<void> make_directory(const std::string& path, unsigned mode) {
  if (stdfs::is_directory(path)) return boost::system::in_place_value;
  std::error_code failed;
  stdfs::create_directories(directory_of(path), failed);
  if (failed) return ErrorCode(failed.value(), boost::system::generic_category());
  if (::mkdir(path.c_str(), mode) != 0) return last_error();
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return last_error();
  return give_to_owner_of(directory_of(path), fd.get());
}

}  // namespace holdfast::lockd
