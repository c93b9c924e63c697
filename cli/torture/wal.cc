/// Mode wal: a WAL database is at home in one directory at a time; the others must be kept out or
/// work, never damage it.

#include "cli/torture/bank.h"
#include "cli/torture/modes.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::torture {

ModeResult run_wal(Arena& arena, std::chrono::milliseconds time) {
  arena.begin_mode("wal");
  ModeResult result{.mode = "wal"};
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
  result.ops = arena.shared().ops;
  result.notes.push_back(
      fmt::format("{} times BUSY; through other directories {} refusals other than BUSY",
                  arena.shared().busy.load(), arena.shared().scratch[kRefusedScratch].load()));
  if (arena.shared().tolerated > 0)
    result.notes.push_back(fmt::format("{} I/O errors tolerated", arena.shared().tolerated.load()));
  result.violations = arena.reported();
  return result;
}

}  // namespace holdfast::torture
