/// Mode wal: a WAL database is at home in one directory at a time; the others must be kept out or
/// work, never damage it.

#include "cli/torture/bank.h"
#include "cli/torture/db.h"
#include "cli/torture/modes.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::torture {
namespace {

constexpr std::size_t kProbeScratch = 1;  ///< SQLite's code

/// Many filesystems have no shared memory maps; then there is no WAL and nothing to damage.
int probe_wal(Arena& arena) {
  Db db;
  int code = db.open(arena.path(0, "wal-probe.db"), 5000);
  if (code == 0) code = db.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(x); DROP TABLE t;");
  arena.shared().scratch[kProbeScratch] = static_cast<std::uint64_t>(code);
  return 0;
}
}  // namespace

ModeResult run_wal(Arena& arena, std::chrono::milliseconds time) {
  ModeResult result;
  (void)arena.run_bounded("trying WAL", [&] { return probe_wal(arena); });
  if (const auto code = static_cast<int>(arena.shared().scratch[kProbeScratch]); code != 0) {
    result.notes.push_back(fmt::format("WAL does not work in {} ({}): nothing to judge",
                                       arena.options().dirs[0], code_name(code)));
    return result;
  }
  const std::vector<std::string> names{"wal.db"};
  const Bank bank{.file = names[0],
                  .journal_mode = "WAL",
                  .resource = 0,
                  .others_may_be_refused = arena.dir_count() > 1};
  const auto dirs = arena.dir_count();
  if (arena.run_bounded("creating the database", [&] { return create_bank(arena, bank, 0); })) {
    // Most workers at home in the first directory, one in each of the others at the same time.
    const auto home = std::max(2U, arena.options().workers);
    Load load{.title = "wal",
              .time = time,
              .workers = home + static_cast<unsigned>(dirs) - 1,
              .body = {}};
    load.body = [&](WorkerId id) { return work_in_bank(arena, bank, id); };
    load.dir_of = [home](unsigned place) -> std::size_t {
      return place < home ? 0 : place - home + 1;
    };
    result.faults = run_load(arena, load, arena.options().seed + 77);
    // All are gone: every directory in turn must open it and find every acknowledged row.
    for (std::size_t dir = 0; dir < dirs; ++dir)
      (void)arena.run_bounded("the final check", [&] { return audit_bank(arena, bank, dir); });
    for (const auto& violation : find_overlaps(arena.load_history(), names))
      arena.report(violation);
  }
  if (const auto times = arena.shared().scratch[kRefusedScratch].load(); times > 0)
    result.notes.push_back(
        fmt::format("through other directories {} refusals that were not SQLITE_BUSY", times));
  return result;
}

}  // namespace holdfast::torture
