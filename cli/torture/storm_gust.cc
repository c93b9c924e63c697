/// What a process of the storm does.

#include "cli/torture/db.h"
#include "cli/torture/file_lock.h"
#include "cli/torture/rng.h"
#include "cli/torture/storm.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::uint64_t kOpsMax = 6;  ///< of one process in one gust
constexpr std::uint64_t kHoldMaxUs = 20'000;
/// A file that is left alone this long is kept again (docs/tokens.md, "Contention").
constexpr std::uint64_t kCalmMinMs = 600;
constexpr std::uint64_t kCalmMaxMs = 2'500;
constexpr std::uint64_t kPauseMaxMs = 50;
constexpr std::uint64_t kGustsPerTurn = 4;
constexpr std::uint64_t kNeighbours = 6;
constexpr std::uint64_t kStream = 815;  ///< of random numbers

struct Place {
  std::string directory;
  std::string file;  ///< empty: there is none in the directory
};

class Wind {
 public:
  Wind(Arena& arena, const StormLimits& limits, unsigned number)
      : arena_(arena),
        limits_(limits),
        number_(number),
        dir_(number % arena.dir_count()),
        rng_(arena.options().seed, kStream + number) {}

  int run() {
    Shared& shared = arena_.shared();
    std::uint64_t gust = shared.storm_gust;
    while (!shared.storm_over) {
      if (number_ == 0 && Clock::now() >= next_gust_) begin_gust();
      if (shared.storm_gust == gust) {
        std::this_thread::sleep_for(milliseconds(1));
        continue;
      }
      gust = shared.storm_gust;
      const Place place = pick();
      for (auto left = 1 + rng_.below(kOpsMax); left > 0; --left)
        use(place);
    }
    return 0;
  }

 private:
  void begin_gust() {
    ++arena_.shared().storm_gust;
    const bool calm = rng_.one_in(2);
    const auto pause =
        calm ? kCalmMinMs + rng_.below(kCalmMaxMs - kCalmMinMs) : rng_.below(kPauseMaxMs);
    next_gust_ = Clock::now() + milliseconds(pause);
    // Where all are at work at once, nobody keeps anything for long.
    const bool all = rng_.one_in(6);
    if (rng_.one_in(kGustsPerTurn))
      arena_.shared().turn =
          all ? 0 : 1 + static_cast<std::uint32_t>(rng_.below(arena_.dir_count()));
  }

  Place pick() {
    Place place{arena_.path(dir_, ""), ""};
    Entries entries = list(place.directory);
    if (!entries.directories.empty() && rng_.one_in(2)) {
      place.directory += entries.directories[rng_.below(entries.directories.size())] + "/";
      entries = list(place.directory);
    }
    std::erase_if(entries.files,
                  [&](const auto& name) { return !name.starts_with(limits_.files); });
    if (!entries.files.empty()) place.file = entries.files[rng_.below(entries.files.size())];
    return place;
  }

  void use(const Place& place) {
    if (place.file.empty() || rng_.one_in(3)) return use_directory(place.directory);
    const std::string path = place.directory + place.file;
    switch (rng_.below(6)) {
      case 0:
        return look(path);
      case 1:
        return read(path);
      case 2:
        return said("utimensat", path, ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0));
      case 3:
        if (!limits_.permissions) return look(path);
        return said("chmod", path, ::chmod(path.c_str(), rng_.one_in(2) ? 0600 : 0640));
      case 4:
        return limits_.locks ? hold(path) : read(path);
      default:
        return is_writable(place.file) ? write(path) : read(path);
    }
  }

  void use_directory(const std::string& directory) {
    const std::string one = neighbour(directory);
    const std::string other = neighbour(directory);
    switch (rng_.below(6)) {
      case 0:
        return (void)list(directory);
      case 1:
        return look(one);
      case 2:
      case 3:
        return create(one);
      case 4:
        return said("rename", one, ::rename(one.c_str(), other.c_str()));
      default:
        return said("unlink", one, ::unlink(one.c_str()));
    }
  }

  std::string neighbour(const std::string& directory) {
    return fmt::format("{}storm-{}", directory, rng_.below(kNeighbours));
  }

  /// A WAL's index is memory of one mount: nothing of it is kept under a token.
  [[nodiscard]] static bool is_wal_index(const std::string& name) {
    constexpr std::string_view kEnd = "-shm";
    return name.size() > kEnd.size() && name.substr(name.size() - kEnd.size()) == kEnd;
  }

  [[nodiscard]] bool is_writable(const std::string& name) const {
    return !limits_.writable.empty() && name.starts_with(limits_.writable);
  }

  struct Entries {
    std::vector<std::string> files, directories;
  };
  Entries list(const std::string& directory) {
    Entries out;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
    said("opendir", directory, stream ? 0 : -1);
    if (!stream) return out;
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string name = entry->d_name;
      if (name == "." || name == ".." || is_wal_index(name)) continue;
      (entry->d_type == DT_DIR ? out.directories : out.files).push_back(name);
    }
    return out;
  }

  void look(const std::string& path) {
    struct stat status {};
    said("stat", path, ::stat(path.c_str(), &status));
  }

  void read(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    said("open", path, file ? 0 : -1);
    if (!file) return;
    std::array<char, 4096> buffer;
    const auto offset = static_cast<off_t>(rng_.below(64) * buffer.size());
    const auto got = ::pread(file.get(), buffer.data(), buffer.size(), offset);
    said("pread", path, got < 0 ? -1 : 0);
  }

  void write(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    said("open", path, file ? 0 : -1);
    if (!file) return;
    said("pwrite", path, ::pwrite(file.get(), "x", 1, kStormByte) == 1 ? 0 : -1);
    if (rng_.one_in(4)) said("fsync", path, ::fsync(file.get()));
  }

  void create(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    said("create", path, file ? 0 : -1);
    if (!file || rng_.one_in(3)) return;
    said("write", path, ::write(file.get(), "x", 1) == 1 ? 0 : -1);
    if (rng_.one_in(2)) said("ftruncate", path, ::ftruncate(file.get(), 0));
  }

  void hold(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    said("open", path, file ? 0 : -1);
    if (!file) return;
    const LockKind kind = rng_.one_in(2) ? LockKind::kPosix : LockKind::kOfd;
    const Access access = rng_.one_in(2) ? Access::kShared : Access::kExclusive;
    const Wait wait = rng_.one_in(2) ? Wait::kYes : Wait::kNo;
    errno = lock(file.get(), kind, access, wait, kStormLock, 1);
    said("lock", path, errno == 0 ? 0 : -1);
    std::this_thread::sleep_for(std::chrono::microseconds(rng_.below(kHoldMaxUs)));
    if (rng_.one_in(2)) return;  // the close frees it
    errno = unlock(file.get(), kind, kStormLock, 1);
    said("unlock", path, errno == 0 ? 0 : -1);
  }

  /// Others rename and remove what we use; anything else must work.
  void said(const char* call, const std::string& path, int result) {
    ++arena_.shared().storm_ops;
    if (result == 0) return;
    const int error = errno;
    for (const int fair : {ENOENT, ESTALE, EAGAIN, EACCES, EINTR})
      if (error == fair) return;
    if (is_excused_errno(error, arena_.options())) {
      ++arena_.shared().tolerated;
      return;
    }
    arena_.report({fmt::format("a call of the storm failed: {}: {}", call, ::strerror(error)), path,
                   fmt::format("through {}", arena_.options().dirs[dir_])});
  }

  Arena& arena_;
  StormLimits limits_;
  unsigned number_;
  std::size_t dir_;
  Rng rng_;
  Clock::time_point next_gust_ = Clock::now();
};
}  // namespace

int blow(Arena& arena, const StormLimits& limits, unsigned number) {
  return Wind(arena, limits, number).run();
}

}  // namespace holdfast::torture
