// Single locks: what a pair costs alone, and how fast a lock moves between mounts.

#include "cli/bench/fs/scenario.h"
#include "holdfast/base/unique_fd.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::bench::fs {
namespace {

UniqueFd open_file(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd) fail(path);
  return fd;
}

/// Waits for it, of one byte.
void change_lock(const UniqueFd& fd, short type, off_t byte) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  if (::fcntl(fd.get(), F_SETLKW, &lock) != 0) fail("fcntl(F_SETLKW)");
}

class Pairs final : public Scenario {
 public:
  explicit Pairs(const Place& place) : path_(place.path("pairs")) {}
  void work(Worker& worker) const override {
    const UniqueFd fd = open_file(path_);
    worker.measure(0, [&] {
      change_lock(fd, F_WRLCK, 0);
      change_lock(fd, F_UNLCK, 0);
    });
  }

 private:
  std::string path_;
};

/// Everybody takes the next byte before letting go of the last one, around a circle with one byte
/// more than there are processes: nobody can go on before the one ahead of it does.
class PingPong final : public Scenario {
 public:
  PingPong(const Place& place, std::size_t players) : place_(place), players_(players) {}
  void prepare() const override { open_file(place_.path("pingpong")); }
  void work(Worker& worker) const override {
    const UniqueFd fd = open_file(place_.path("pingpong", worker.index()));
    auto byte = static_cast<off_t>(worker.index());
    const auto bytes = static_cast<off_t>(players_) + 1;
    change_lock(fd, F_WRLCK, byte);
    worker.measure(
        0,
        [&] {
          const off_t next = (byte + 1) % bytes;
          change_lock(fd, F_WRLCK, next);
          change_lock(fd, F_UNLCK, byte);
          byte = next;
        },
        [&] { change_lock(fd, F_UNLCK, byte); });
  }

 private:
  const Place& place_;
  std::size_t players_;
};

}  // namespace

void add_lock_kinds(std::vector<Kind>& all) {
  Kind pair;
  pair.name = "fcntl-pair";
  pair.text = "fcntl lock and unlock of a byte nobody else wants";
  pair.make = [](const Place& place, const Options&) { return std::make_unique<Pairs>(place); };
  all.push_back(std::move(pair));
  for (const std::size_t players : {2U, 3U}) {
    Kind kind;
    kind.name = fmt::format("pingpong-{}", players);
    kind.text = fmt::format("a lock moves on, between {} mounts", players);
    kind.mounts = kind.workers = players;
    kind.make = [players](const Place& place, const Options&) {
      return std::make_unique<PingPong>(place, players);
    };
    all.push_back(std::move(kind));
  }
}

}  // namespace holdfast::bench::fs
