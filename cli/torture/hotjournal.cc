/// Mode hotjournal: a writer dies in mid-commit, whoever opens next must see the last committed
/// state.

#include "cli/torture/db.h"
#include "cli/torture/kill_vfs.h"
#include "cli/torture/load.h"
#include "cli/torture/modes.h"
#include "cli/torture/rng.h"

#include <algorithm>
#include <csignal>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace holdfast::torture {
namespace {
using std::literals::operator""s;
using std::literals::operator""ms;
using std::literals::operator""us;
using Clock = std::chrono::steady_clock;

// About 75 pages, with a cache of 10: the journal and then the database are written long before the
// commit, so a kill nearly anywhere leaves a hot journal.
constexpr int kRows = 300;
constexpr int kPayload = 900;
constexpr int kBusyTimeoutMs = 60'000;

// Places in Shared::scratch.
constexpr std::size_t kStarted = 0;    ///< the writer has begun its transaction
constexpr std::size_t kInCommit = 1;   ///< COMMIT was called
constexpr std::size_t kCommitted = 2;  ///< COMMIT returned success
constexpr std::size_t kChanges = 3;    ///< changes of the storage of a whole transaction
constexpr std::size_t kReader = 8;     ///< + reader: generation seen + 1, 0 = nothing

std::string payload_sql(const std::string& generation) {
  return fmt::format("substr(replace(hex(zeroblob({})), '00', {} || ':' || id || ';'), 1, {})",
                     kPayload / 3, generation, kPayload);
}

struct Stage {
  Arena& arena;
  std::string file;
  std::string journal_mode;
};

int create(const Stage& stage) {
  Db db;
  int code = db.open(stage.arena.path(0, stage.file), kBusyTimeoutMs);
  if (code == 0)
    code = db.exec(
        fmt::format("PRAGMA journal_mode={}; BEGIN;"
                    "CREATE TABLE item(id INTEGER PRIMARY KEY, generation INTEGER, payload TEXT);"
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
                    " INSERT INTO item(id, generation) SELECT i, 0 FROM n;"
                    "UPDATE item SET payload = {}; COMMIT;",
                    stage.journal_mode, kRows, payload_sql("0")));
  if (code != 0) stage.arena.report({"SQLite failed: " + db.error(), stage.file, "creating"});
  return code;
}

/// Raises the generation of every row in one transaction; dies at change `die_at` (0 = lives on).
int write_generation(const Stage& stage, std::size_t dir, std::uint64_t die_at) {
  register_kill_vfs();
  auto& shared = stage.arena.shared();
  Db db;
  int code = db.open(stage.arena.path(dir, stage.file), kBusyTimeoutMs, kKillVfs);
  if (code == 0) code = db.exec("PRAGMA cache_size=10; PRAGMA journal_mode=" + stage.journal_mode);
  if (code == 0) code = db.exec("BEGIN IMMEDIATE");
  kill_at(die_at);
  shared.scratch[kStarted] = 1;
  if (code == 0)
    code = db.exec("UPDATE item SET generation = generation + 1, payload = " +
                   payload_sql("(generation + 1)"));
  if (code == 0) {
    shared.scratch[kInCommit] = 1;
    code = db.exec("COMMIT");
    while (is_busy(code) && !db.idle())
      code = db.exec("COMMIT");
  }
  if (code == 0) {
    shared.scratch[kCommitted] = 1;
    shared.scratch[kChanges] = changes();
    return 0;
  }
  if (is_io_error(code) && stage.arena.options().tolerate_io_errors) {
    ++shared.tolerated;
    return 0;
  }
  stage.arena.report({"SQLite failed: " + db.error(), stage.file,
                      "writing through " + stage.arena.options().dirs[dir]});
  return 0;
}

/// Opens the database, which rolls a hot journal back, and looks at every row.
int read_generation(const Stage& stage, std::size_t dir, std::size_t reader, bool thorough) {
  const auto& name = stage.arena.options().dirs[dir];
  Db db;
  std::int64_t low = 0;
  std::int64_t high = 0;
  std::int64_t rows = 0;
  std::int64_t torn = 0;
  const auto deadline = Clock::now() + std::chrono::seconds(stage.arena.options().patience_s);
  const auto tolerate = stage.arena.options().tolerate_io_errors;
  for (;;) {
    int code = db.open(stage.arena.path(dir, stage.file), kBusyTimeoutMs);
    if (code == 0)
      code = db.exec("SELECT min(generation), max(generation), count(*), sum(payload <> " +
                         payload_sql("generation") + ") FROM item",
                     [&](sqlite3_stmt* row) {
                       low = sqlite3_column_int64(row, 0);
                       high = sqlite3_column_int64(row, 1);
                       rows = sqlite3_column_int64(row, 2);
                       torn = sqlite3_column_int64(row, 3);
                     });
    if (code == 0) break;
    if ((is_busy(code) || (tolerate && is_io_error(code))) && Clock::now() < deadline) {
      ++(is_busy(code) ? stage.arena.shared().busy : stage.arena.shared().tolerated);
      std::this_thread::sleep_for(20ms);
      continue;
    }
    stage.arena.report({"the database cannot be read: " + db.error(), stage.file, name});
    return 0;
  }
  if (low != high || rows != kRows || torn != 0)
    stage.arena.report({"half a transaction is visible", stage.file,
                        fmt::format("through {}: generations {} to {}, {} rows of {}, {} torn",
                                    name, low, high, rows, kRows, torn)});
  stage.arena.shared().scratch[kReader + reader] = static_cast<std::uint64_t>(low) + 1;
  if (!thorough) return 0;
  std::string damage;
  const int code = db.exec("PRAGMA integrity_check", [&](sqlite3_stmt* row) {
    damage += reinterpret_cast<const char*>(sqlite3_column_text(row, 0));
  });
  if (code == 0 ? damage != "ok" : !is_busy(code) && !(tolerate && is_io_error(code)))
    stage.arena.report({"integrity_check found damage", stage.file, name + ": " + damage});
  return 0;
}

class Rounds {
 public:
  Rounds(const Stage& stage, std::uint64_t seed) : stage_(stage), rng_(seed) {}

  void run(std::chrono::milliseconds time, ModeResult& result) {
    const auto until = Clock::now() + time;
    auto next_line = Clock::now() + 5s;
    while (Clock::now() < until && !interrupted()) {
      if (!round()) return;
      if (Clock::now() > next_line) {
        next_line += 5s;
        progress(fmt::format(
            "hotjournal {:<11} rounds {}  killed {}  hot journals {}  violations {}",
            stage_.journal_mode, rounds_, killed_, hot_, stage_.arena.shared().violations.load()));
      }
    }
    result.faults += killed_;
    result.notes.push_back(fmt::format("{}: {} rounds, {} writers killed, {} left a hot journal",
                                       stage_.journal_mode, rounds_, killed_, hot_));
  }

 private:
  struct Reader {
    pid_t pid;
    bool early;  ///< started while the writer was alive: may see either generation
  };

  /// One writer, perhaps killed, and readers through every directory. False = stop.
  bool round() {
    auto& shared = stage_.arena.shared();
    for (auto& value : shared.scratch)
      if (&value != &shared.scratch[kChanges]) value = 0;
    const auto dir = static_cast<std::size_t>(rng_.below(stage_.arena.dir_count()));
    const bool calibrate = shared.scratch[kChanges] == 0;
    const bool at_change = !calibrate && rng_.one_in(2);
    // One more than there are: dies never, or right after the commit.
    const auto die_at = at_change ? 1 + rng_.below(shared.scratch[kChanges] + 1) : 0;
    const pid_t writer =
        stage_.arena.herd().start([&] { return write_generation(stage_, dir, die_at); });
    std::vector<Reader> readers;
    if (rng_.one_in(2)) add_readers(readers, true);
    if (!finish_writer(writer, !calibrate && !at_change)) return false;
    if (journal_is_hot(dir)) ++hot_;
    const bool in_commit = shared.scratch[kInCommit] != 0;
    const bool committed = shared.scratch[kCommitted] != 0;
    add_readers(readers, false);
    if (!finish_readers(readers)) return false;
    judge(readers, in_commit, committed);
    ++rounds_;
    ++shared.ops;
    return true;
  }

  void add_readers(std::vector<Reader>& readers, bool early) {
    for (std::size_t i = 0; i < stage_.arena.dir_count(); ++i) {
      const auto number = readers.size();
      const auto dir = stage_.arena.dir_count() - 1 - i;
      readers.push_back({stage_.arena.herd().start([&, number, dir, early] {
                           return read_generation(stage_, dir, number, !early);
                         }),
                         early});
    }
  }

  bool finish_writer(pid_t writer, bool kill_after_a_while) {
    const auto patience = std::chrono::seconds(stage_.arena.options().patience_s);
    const auto begin = Clock::now();
    if (kill_after_a_while) {
      while (stage_.arena.shared().scratch[kStarted] == 0 && Clock::now() - begin < patience)
        std::this_thread::sleep_for(100us);
      std::this_thread::sleep_for(std::chrono::nanoseconds(
          rng_.below(static_cast<std::uint64_t>(std::max<long>(1, whole_.count())))));
      ::kill(writer, SIGKILL);
    }
    const auto status = wait_end(writer, patience);
    if (!status) {
      stage_.arena.report({"a writer is stuck", stage_.file, what_is_it_doing(writer)});
      kill_and_wait(writer);
      return false;
    }
    if (WIFSIGNALED(*status)) ++killed_;
    if (*status == 0 && stage_.arena.shared().scratch[kCommitted] != 0)
      whole_ = Clock::now() - begin;
    return true;
  }

  bool finish_readers(const std::vector<Reader>& readers) {
    // Readers give up by themselves after the patience and say why; twice that is a hang.
    const auto patience = 2 * std::chrono::seconds(stage_.arena.options().patience_s);
    bool fine = true;
    for (const auto& reader : readers) {
      if (wait_end(reader.pid, patience)) continue;
      stage_.arena.report({"a reader is stuck", stage_.file, what_is_it_doing(reader.pid)});
      kill_and_wait(reader.pid);
      fine = false;
    }
    return fine;
  }

  [[nodiscard]] bool journal_is_hot(std::size_t dir) {
    struct stat info {};
    const auto name = stage_.arena.path(dir, stage_.file + "-journal");
    bool hot = false;
    (void)stage_.arena.run_bounded("looking for the journal", [&] {
      // PERSIST leaves a file whose header is zeros.
      if (::stat(name.c_str(), &info) != 0 || info.st_size == 0) return 0;
      char header[8] = {};
      if (FILE* file = std::fopen(name.c_str(), "re")) {
        if (std::fread(header, sizeof header, 1, file) == 1 && header[0] != 0)
          stage_.arena.shared().scratch[kReader - 1] = 1;
        std::fclose(file);
      }
      return 0;
    });
    hot = stage_.arena.shared().scratch[kReader - 1] != 0;
    return hot;
  }

  void judge(const std::vector<Reader>& readers, bool in_commit, bool committed) {
    std::uint64_t found = 0;
    for (std::size_t i = 0; i < readers.size(); ++i) {
      const auto seen = stage_.arena.shared().scratch[kReader + i].load();
      if (seen == 0) continue;  // said why by itself
      const auto generation = seen - 1;
      const auto next = generation_ + 1;
      const bool allowed = readers[i].early ? generation == generation_ || generation == next
                           : committed      ? generation == next
                           : in_commit      ? generation == generation_ || generation == next
                                            : generation == generation_;
      if (!allowed)
        stage_.arena.report(
            {committed ? "a committed transaction is lost" : "a dead transaction took effect",
             stage_.file,
             fmt::format("generation {} seen, last acknowledged {}, {}", generation, generation_,
                         committed   ? "then one more"
                         : in_commit ? "one more in doubt"
                                     : "the next never committed")});
      if (readers[i].early) continue;
      if (found != 0 && found != seen)
        stage_.arena.report({"two readers disagree", stage_.file,
                             fmt::format("generations {} and {}", found - 1, generation)});
      found = seen;
    }
    if (found != 0) generation_ = found - 1;
  }

  const Stage& stage_;
  Rng rng_;
  std::uint64_t generation_ = 0;
  std::uint64_t rounds_ = 0;
  std::uint64_t killed_ = 0;
  std::uint64_t hot_ = 0;
  std::chrono::nanoseconds whole_ = 50ms;  ///< how long an undisturbed transaction takes
};
}  // namespace

ModeResult run_hotjournal(Arena& arena, std::chrono::milliseconds time) {
  ModeResult result;
  std::uint64_t part = 0;
  for (const auto* journal_mode : kJournalModes) {
    const Stage stage{arena, fmt::format("hot-{}.db", journal_mode), journal_mode};
    arena.shared().scratch[kChanges] = 0;
    if (!arena.run_bounded("creating the database", [&] { return create(stage); })) continue;
    Rounds(stage, arena.options().seed + 1000 + part++)
        .run(time / std::size(kJournalModes), result);
  }
  return result;
}

}  // namespace holdfast::torture
