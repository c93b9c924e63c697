/// Mode exclusion: counters that only a working lock keeps right.

#include "cli/torture/db.h"
#include "cli/torture/file_lock.h"
#include "cli/torture/load.h"
#include "cli/torture/modes.h"
#include "cli/torture/rng.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {
using std::literals::operator""ms;

struct Counter {
  LockKind kind;
  off_t offset;  ///< of the value, and of the locked range
};

// Counters of one file lie in one page: a cache that is dropped or written by pages, not by locked
// ranges, mixes them up.
constexpr std::array<Counter, 7> kCounters{{{LockKind::kPosix, 0},
                                            {LockKind::kPosix, 64},
                                            {LockKind::kPosix, 4096},
                                            {LockKind::kOfd, 0},
                                            {LockKind::kOfd, 64},
                                            {LockKind::kOfd, 4096},
                                            {LockKind::kFlock, 0}}};
constexpr std::uint16_t kSqlite = kCounters.size();
constexpr const char* kSqliteFile = "counter.db";

/// What lies in the file: the value and its complement, so that half a write shows.
struct Cell {
  std::uint64_t value = 0;
  std::uint64_t check = ~std::uint64_t{0};
  [[nodiscard]] bool sound() const { return check == ~value; }
};

std::vector<std::string> resource_names() {
  std::vector<std::string> names;
  for (const auto& counter : kCounters)
    names.push_back(fmt::format("counter-{} at {}", name_of(counter.kind), counter.offset));
  names.emplace_back(kSqliteFile);
  return names;
}

std::string file_of(LockKind kind) {
  return fmt::format("counter-{}", name_of(kind));
}

class Worker {
 public:
  Worker(Arena& arena, WorkerId id)
      : arena_(arena), id_(id), rng_(arena.options().seed, id.number), history_(arena, id.number) {}

  int run() {
    while (!arena_.shared().stop) {
      if (!arena_.has_turn(id_.dir)) {
        if (rng_.one_in(2)) reopen();
        arena_.await_turn(id_.dir);
        continue;
      }
      const auto pick = static_cast<std::uint16_t>(rng_.below(kCounters.size() + 1));
      if (pick == kSqlite)
        sqlite_increment();
      else if (rng_.one_in(4))
        compare_under_shared(pick);
      else
        file_increment(pick);
      // A second open and close of the file drops POSIX locks: only between the operations.
      if (rng_.one_in(50)) reopen();
    }
    return 0;
  }

 private:
  void fail(const std::string& what, const std::string& where, const std::string& evidence) {
    arena_.report(
        {what, where,
         fmt::format("worker {} in {}\n{}", id_.number, arena_.options().dirs[id_.dir], evidence)});
  }

  /// An error of a call on the target: what a dead server causes may be excused, others never.
  void call_failed(const char* call, std::uint16_t resource, int error) {
    if (is_excused_errno(error, arena_.options())) {
      ++arena_.shared().tolerated;
      reopen();  // a handle that lost its lock answers EIO until it is closed
      std::this_thread::sleep_for(20ms);
      return;
    }
    fail(fmt::format("{} failed: {}", call, ::strerror(error)), resource_names()[resource], "");
    reopen();
    std::this_thread::sleep_for(100ms);
  }

  void reopen() {
    if (holding_) history_.add(Event::kGaveUp, *holding_);
    holding_.reset();
    for (auto& fd : fds_)
      fd.reset();
    db_.close();
  }

  int fd_of(LockKind kind) {
    auto& fd = fds_[static_cast<std::size_t>(kind)];
    if (!fd) fd.reset(::open(arena_.path(id_.dir, file_of(kind)).c_str(), O_RDWR | O_CLOEXEC));
    return fd.get();
  }

  /// True when locked; errors are reported. Waits in the kernel or by trying, as users do.
  bool take(std::uint16_t resource, Access access) {
    const auto& counter = kCounters[resource];
    const int fd = fd_of(counter.kind);
    if (fd < 0) {
      call_failed("open", resource, errno);
      return false;
    }
    history_.add(Event::kWant, resource, 0, access);
    const auto wait = rng_.one_in(3) ? Wait::kNo : Wait::kYes;
    for (;;) {
      const int error = lock(fd, counter.kind, access, wait, counter.offset, sizeof(Cell));
      if (error == 0) break;
      const bool taken = wait == Wait::kNo && (error == EAGAIN || error == EACCES);
      if (!taken && error != EINTR) {
        call_failed(wait == Wait::kYes ? "waiting for a lock" : "trying a lock", resource, error);
        return false;
      }
      ++arena_.shared().busy;
      if (arena_.shared().stop) return false;
      std::this_thread::sleep_for(std::chrono::microseconds(100 + rng_.below(2000)));
    }
    history_.add(Event::kGranted, resource, 0, access);
    holding_ = resource;
    return true;
  }

  bool drop(std::uint16_t resource, Access access) {
    const auto& counter = kCounters[resource];
    history_.add(Event::kUnlocking, resource, 0, access);
    holding_.reset();
    const int error = unlock(fd_of(counter.kind), counter.kind, counter.offset, sizeof(Cell));
    if (error != 0) call_failed("unlocking", resource, error);
    return error == 0;
  }

  std::optional<Cell> read_cell(std::uint16_t resource) {
    const auto& counter = kCounters[resource];
    Cell cell;
    const auto got = ::pread(fd_of(counter.kind), &cell, sizeof cell, counter.offset);
    if (got < 0) {
      call_failed("reading", resource, errno);
      return std::nullopt;
    }
    if (got != sizeof cell || !cell.sound()) {
      fail("half a write was read under a lock", resource_names()[resource],
           fmt::format("{} bytes, value {:#x} complement {:#x}", got, cell.value, ~cell.check));
      return std::nullopt;
    }
    return cell;
  }

  void file_increment(std::uint16_t resource) {
    if (!take(resource, Access::kExclusive)) return;
    const auto old = read_cell(resource);
    bool written = false;
    std::uint64_t value = 0;
    if (old) {
      value = old->value + 1;
      if (rng_.one_in(8)) std::this_thread::sleep_for(std::chrono::microseconds(rng_.below(500)));
      const Cell fresh{value, ~value};
      history_.add(Event::kIntent, resource, value);
      const auto& counter = kCounters[resource];
      const auto put = ::pwrite(fd_of(counter.kind), &fresh, sizeof fresh, counter.offset);
      written = put == static_cast<ssize_t>(sizeof fresh);
      if (!written) {
        call_failed("writing", resource, put < 0 ? errno : EIO);
        return;  // call_failed closed the file, and with it went the lock
      }
    }
    if (!holding_) return;  // given up after an error
    const bool unlocked = drop(resource, Access::kExclusive);
    if (!unlocked || !written) return;
    // Only now is it promised: filesystems may keep a write back until the unlock.
    history_.add(Event::kAcked, resource, value);
    ++arena_.shared().ops;
  }

  void compare_under_shared(std::uint16_t resource) {
    if (!take(resource, Access::kShared)) return;
    const auto first = read_cell(resource);
    if (!first) {
      if (holding_) (void)drop(resource, Access::kShared);
      return;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(rng_.below(300)));
    const auto second = read_cell(resource);
    if (second && second->value != first->value)
      fail("a value changed under a shared lock", resource_names()[resource],
           fmt::format("first {} then {}", first->value, second->value));
    if (!holding_) return;
    if (drop(resource, Access::kShared)) ++arena_.shared().ops;
  }

  void sqlite_failed(int code) {
    if (is_busy(code)) {
      ++arena_.shared().busy;
    } else if (is_excused(code, arena_.options())) {
      ++arena_.shared().tolerated;
      db_.close();
      std::this_thread::sleep_for(20ms);
      return;
    } else {
      fail("SQLite failed: " + db_.error(), kSqliteFile, "");
      db_.close();
      std::this_thread::sleep_for(100ms);
      return;
    }
    if (!db_.idle()) (void)db_.exec("ROLLBACK");
  }

  void sqlite_increment() {
    if (!db_.is_open()) {
      if (const int code = db_.open(arena_.path(id_.dir, kSqliteFile), 5000); code != 0)
        return sqlite_failed(code);
    }
    history_.add(Event::kWant, kSqlite);
    if (const int code = db_.exec("BEGIN IMMEDIATE"); code != 0) return sqlite_failed(code);
    history_.add(Event::kGranted, kSqlite);
    if (const int code = db_.exec("UPDATE counter SET n = n + 1"); code != 0) {
      history_.add(Event::kGaveUp, kSqlite);  // SQLite may have rolled back by itself
      return sqlite_failed(code);
    }
    const auto fresh = db_.number("SELECT n FROM counter");
    if (fresh.code != 0) {
      history_.add(Event::kGaveUp, kSqlite);
      return sqlite_failed(fresh.code);
    }
    const auto value = static_cast<std::uint64_t>(fresh.value);
    history_.add(Event::kIntent, kSqlite, value);
    history_.add(Event::kUnlocking, kSqlite);
    if (const int code = commit(); code != 0) return sqlite_failed(code);
    history_.add(Event::kAcked, kSqlite, value);
    ++arena_.shared().ops;
  }

  /// A commit that meets readers stays open and may be tried again.
  int commit() {
    int code = db_.exec("COMMIT");
    for (int tries = 0; is_busy(code) && !db_.idle() && tries < 5; ++tries) {
      ++arena_.shared().busy;
      code = db_.exec("COMMIT");
    }
    return code;
  }

  Arena& arena_;
  WorkerId id_;
  Rng rng_;
  HistoryWriter history_;
  std::array<UniqueFd, 3> fds_;
  std::optional<std::uint16_t> holding_;  ///< the file counter whose lock we have
  Db db_;
};

int prepare(Arena& arena) {
  const Cell zero;
  for (const auto& counter : kCounters) {
    const UniqueFd fd(
        ::open(arena.path(0, file_of(counter.kind)).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd || ::pwrite(fd.get(), &zero, sizeof zero, counter.offset) != sizeof zero) return 1;
  }
  Db db;
  if (db.open(arena.path(0, kSqliteFile), 5000) != 0) return 2;
  return db.exec("CREATE TABLE counter(n INTEGER); INSERT INTO counter VALUES(0)") == 0 ? 0 : 3;
}

/// Reads the final values as `dir` shows them and judges them. Runs in a process of its own.
int judge_from(Arena& arena, std::size_t dir) {
  const auto history = arena.load_history();
  const auto names = resource_names();
  const auto judge = [&](std::uint16_t resource, std::uint64_t final) {
    const auto where =
        fmt::format("{} seen through {}", names[resource], arena.options().dirs[dir]);
    for (const auto& violation : judge_counter(history, resource, where, 0, final))
      arena.report(violation);
  };
  for (std::uint16_t resource = 0; resource < kCounters.size(); ++resource) {
    const auto& counter = kCounters[resource];
    const UniqueFd fd(::open(arena.path(dir, file_of(counter.kind)).c_str(), O_RDONLY | O_CLOEXEC));
    Cell cell{0, 0};
    // A lock, since caches may be stale without one: that is all a filesystem promises.
    if (!fd ||
        lock(fd.get(), counter.kind, Access::kShared, Wait::kYes, counter.offset, sizeof cell) !=
            0 ||
        ::pread(fd.get(), &cell, sizeof cell, counter.offset) != sizeof cell || !cell.sound())
      arena.report({"the final value cannot be read", names[resource], ::strerror(errno)});
    else
      judge(resource, cell.value);
  }
  Db db;
  (void)db.open(arena.path(dir, kSqliteFile), 30'000);
  const auto final = db.number("SELECT n FROM counter");
  if (final.code != 0)
    arena.report({"the final value cannot be read", kSqliteFile, db.error()});
  else
    judge(kSqlite, static_cast<std::uint64_t>(final.value));
  if (db.number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'")
          .value != 0)
    arena.report({"integrity_check found damage", kSqliteFile, db.error()});
  return 0;
}

}  // namespace

ModeResult run_exclusion(Arena& arena, std::chrono::milliseconds time) {
  ModeResult result;
  if (arena.run_bounded("preparing the counters", [&] { return prepare(arena); })) {
    const auto workers =
        std::max<unsigned>(arena.options().workers, static_cast<unsigned>(arena.dir_count()));
    Load load{.title = "exclusion", .time = time, .workers = workers, .body = {}};
    load.body = [&](WorkerId id) { return Worker(arena, id).run(); };
    result.faults = run_load(arena, load, arena.options().seed);
    for (const auto& violation : find_overlaps(arena.load_history(), resource_names()))
      arena.report(violation);
    for (std::size_t dir = 0; dir < arena.dir_count(); ++dir)
      (void)arena.run_bounded("the final check", [&] { return judge_from(arena, dir); });
  }
  return result;
}

}  // namespace holdfast::torture
