#include "fs/published/leftovers.h"

#include "holdfast/base/unique_fd.h"
#include "holdfast/base/unix_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::fs::published {
namespace {

/// Whoever makes a file that is locked, not named by a connection, locks it right after.
constexpr std::time_t kMadeMaxSeconds = 60;

enum class Sort { kPublished, kUnpublished, kSocket, kPid };
struct Leftover {
  Sort sort;
  std::string number;  ///< of the connection
};

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<Leftover> leftover(std::string_view name, const std::vector<std::string>& kinds) {
  for (const std::string& kind : kinds) {
    if (!name.starts_with(kind + "-")) continue;
    const std::string_view rest = name.substr(kind.size() + 1);
    if (is_number(rest)) return Leftover{Sort::kPublished, std::string(rest)};
    if (rest.starts_with("new-") && is_number(rest.substr(4)))
      return Leftover{Sort::kUnpublished, {}};
  }
  constexpr std::string_view kBefore = "mount-";
  constexpr std::string_view kAfter = ".sock";
  if (name.starts_with(kBefore) && name.ends_with(".pid")) return Leftover{Sort::kPid, {}};
  if (!name.starts_with(kBefore) || !name.ends_with(kAfter)) return std::nullopt;
  if (name.size() <= kBefore.size() + kAfter.size()) return std::nullopt;
  const std::string_view number =
      name.substr(kBefore.size(), name.size() - kBefore.size() - kAfter.size());
  if (!is_number(number)) return std::nullopt;
  return Leftover{Sort::kSocket, std::string(number)};
}

bool is_held(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return true;
  return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

bool is_served(const std::string& path) {
  const auto socket = connect_unix(path, SOCK_NONBLOCK);
  return socket || socket.error() != errno_code(ECONNREFUSED);
}

bool is_young(const std::string& path) {
  struct stat status {};
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return ::lstat(path.c_str(), &status) != 0 || now.tv_sec - status.st_mtime < kMadeMaxSeconds;
}

bool in_use(const std::string& path, Sort sort) {
  return sort == Sort::kSocket ? is_served(path) : is_held(path);
}

/// Looked at under a name that nobody else uses: a mount that has just been given the number of the
/// dead one would else lose what it has published between our look and the removal.
bool remove_unused(const std::string& path, Sort sort) {
  if (in_use(path, sort)) return false;
  const std::string aside = fmt::format("{}.left-{}", path, ::getpid());
  if (::rename(path.c_str(), aside.c_str()) != 0) return false;
  if (!in_use(aside, sort)) return ::unlink(aside.c_str()) == 0;
  static_cast<void>(::rename(aside.c_str(), path.c_str()));
  return false;
}

}  // namespace

std::vector<std::string> clear_leftovers(
    const std::string& directory, const std::vector<std::string>& kinds,
    const std::function<bool(const std::string& connection)>& still_there) {
  std::vector<std::string> names;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(directory, failed))
    names.push_back(entry.path().filename().string());
  std::vector<std::string> removed;
  for (const std::string& name : names) {
    const auto found = leftover(name, kinds);
    if (!found) continue;
    const std::string path = fmt::format("{}/{}", directory, name);
    const bool wanted = found->number.empty() ? is_young(path) : still_there(found->number);
    if (!wanted && remove_unused(path, found->sort)) removed.push_back(name);
  }
  return removed;
}

}  // namespace holdfast::fs::published
