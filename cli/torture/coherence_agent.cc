#include "cli/torture/coherence_agent.h"

#include "holdfast/base/unique_fd.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <string>

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {

class Agent {
 public:
  Seen perform(const Order& order) {
    const std::string path = std::string(order.directory) + "/" + order.name;
    const std::string other = std::string(order.directory) + "/" + order.other;
    Seen seen;
    errno = 0;
    const bool done = attempt(order, path, other, seen);
    seen.error = done ? 0 : errno;
    return seen;
  }

 private:
  bool attempt(const Order& order, const std::string& path, const std::string& other, Seen& seen) {
    switch (order.what) {
      case Order::What::kCreate:
        return put(path, O_CREAT | O_EXCL, order.stamp);
      case Order::What::kWrite:
        return put(path, 0, order.stamp);
      case Order::What::kAppend:
        return put(path, O_APPEND, order.stamp);
      case Order::What::kTruncate:
        return ::truncate(path.c_str(), static_cast<off_t>(order.size)) == 0;
      case Order::What::kChmod:
        return ::chmod(path.c_str(), order.mode) == 0;
      case Order::What::kUnlink:
        return ::unlink(path.c_str()) == 0;
      case Order::What::kRename:
        return ::rename(path.c_str(), other.c_str()) == 0;
      case Order::What::kRead:
        return get(UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), seen);
      case Order::What::kHeldRead:
        return get(held(order, path), seen);
      case Order::What::kStat:
        return look(path, seen);
      case Order::What::kLookup:
        seen.name = ::access(path.c_str(), F_OK) == 0;
        seen.other = ::access(other.c_str(), F_OK) == 0;
        return true;
      case Order::What::kList:
        return list(order, seen);
    }
    return false;
  }

  static bool put(const std::string& path, int flags, std::uint64_t stamp) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0644));
    return file && ::write(file.get(), &stamp, sizeof stamp) == ssize_t{sizeof stamp};
  }

  static bool get(const UniqueFd& file, Seen& seen) {
    struct stat status {};
    if (!file || ::pread(file.get(), &seen.stamp, sizeof seen.stamp, 0) < 0) return false;
    if (::fstat(file.get(), &status) != 0) return false;
    seen.size = static_cast<std::uint64_t>(status.st_size);
    return true;
  }

  static bool look(const std::string& path, Seen& seen) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return false;
    seen.size = static_cast<std::uint64_t>(status.st_size);
    seen.mode = status.st_mode & 07777U;
    return true;
  }

  static bool list(const Order& order, Seen& seen) {
    DIR* const directory = ::opendir(order.directory);
    if (directory == nullptr) return false;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      seen.name = seen.name || name == order.name;
      seen.other = seen.other || name == order.other;
    }
    return ::closedir(directory) == 0;
  }

  const UniqueFd& held(const Order& order, const std::string& path) {
    Held& held = held_[order.slot % kSlots];
    if (held.incarnation != order.incarnation || !held.file) {
      held.file = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      held.incarnation = order.incarnation;
    }
    return held.file;
  }

  struct Held {
    std::uint64_t incarnation = 0;
    UniqueFd file;
  };
  std::array<Held, kSlots> held_;
};

}  // namespace

int serve_orders(int socket) {
  Agent agent;
  Order order;
  while (::recv(socket, &order, sizeof order, 0) == ssize_t{sizeof order}) {
    const Seen seen = agent.perform(order);
    if (::send(socket, &seen, sizeof seen, MSG_NOSIGNAL) != ssize_t{sizeof seen}) return 1;
  }
  return 0;
}

}  // namespace holdfast::torture
