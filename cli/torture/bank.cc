/// Mode bank: SQLite transfers in each rollback journal mode.

#include "cli/torture/bank.h"

#include "cli/torture/db.h"
#include "cli/torture/modes.h"
#include "cli/torture/rng.h"

#include <algorithm>
#include <map>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sqlite3.h>

namespace holdfast::torture {
namespace {
using std::literals::operator""ms;

constexpr int kBusyTimeoutMs = 10'000;
constexpr int kGuestTimeoutMs = 1'000;  ///< may be refused all the time: tries often

class Teller {
 public:
  Teller(Arena& arena, const Bank& bank, WorkerId id)
      : arena_(arena),
        bank_(bank),
        id_(id),
        rng_(arena.options().seed, id.number),
        history_(arena, id.number) {}

  int run() {
    while (!arena_.shared().stop) {
      if (!arena_.has_turn(id_.dir)) {
        if (rng_.one_in(2)) db_.close();
        arena_.await_turn(id_.dir);
        continue;
      }
      if (!db_.is_open() && !open()) continue;
      if (rng_.one_in(4))
        check_snapshot();
      else
        transfer();
      if (rng_.one_in(100)) db_.close();
    }
    return 0;
  }

 private:
  bool open() {
    const bool guest = bank_.others_may_be_refused && id_.dir != 0;
    int code = db_.open(arena_.path(id_.dir, bank_.file), guest ? kGuestTimeoutMs : kBusyTimeoutMs);
    if (code == 0)
      code = db_.exec("PRAGMA foreign_keys=ON; PRAGMA journal_mode=" + bank_.journal_mode);
    if (code == 0) return true;
    failed(code, "opening");
    db_.close();
    return false;
  }

  void failed(int code, const char* doing) {
    const auto error = db_.error();
    if (!db_.idle()) (void)db_.exec("ROLLBACK");
    const int primary = code & 0xff;
    if (is_busy(code)) {
      ++arena_.shared().busy;
      if (id_.dir == 0 || !bank_.others_may_be_refused) return;
      std::this_thread::sleep_for(50ms);
      return;
    }
    const bool damage = primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
    if (is_excused(code, arena_.options())) {
      ++arena_.shared().tolerated;
    } else if (bank_.others_may_be_refused && id_.dir != 0 && !damage) {
      ++arena_.shared().scratch[kRefusedScratch];
    } else {
      arena_.report({fmt::format("SQLite failed {}: {}", doing, error), bank_.file,
                     fmt::format("worker {} in {}, journal mode {}", id_.number,
                                 arena_.options().dirs[id_.dir], bank_.journal_mode)});
    }
    db_.close();
    std::this_thread::sleep_for(50ms);
  }

  void transfer() {
    if (const int code = db_.exec("BEGIN IMMEDIATE"); code != 0) return failed(code, "at BEGIN");
    history_.add(Event::kGranted, bank_.resource);
    const auto id = (static_cast<std::uint64_t>(id_.number) << 32) | ++sequence_;
    const auto from = 1 + rng_.below(kAccounts);
    const auto to = 1 + rng_.below(kAccounts);
    const auto amount = 1 + rng_.below(50);
    const auto sql = fmt::format(
        "UPDATE account SET balance = balance - {2} WHERE id = {0};"
        "UPDATE account SET balance = balance + {2} WHERE id = {1};"
        "INSERT INTO ledger(id, source, target, amount) VALUES({3}, {0}, {1}, {2});"
        "UPDATE total SET transactions = transactions + 1;",
        from, to, amount, id);
    if (const int code = db_.exec(sql); code != 0) {
      // SQLite may have rolled back, and so unlocked, by itself.
      history_.add(Event::kGaveUp, bank_.resource);
      return failed(code, "in a transaction");
    }
    if (rng_.one_in(10)) std::this_thread::sleep_for(std::chrono::microseconds(rng_.below(2000)));
    history_.add(Event::kIntent, bank_.resource, id);
    history_.add(Event::kUnlocking, bank_.resource);
    int code = db_.exec("COMMIT");
    while (is_busy(code) && !db_.idle() && !arena_.shared().stop) {
      ++arena_.shared().busy;
      code = db_.exec("COMMIT");
    }
    if (code != 0) return failed(code, "at COMMIT");
    history_.add(Event::kAcked, bank_.resource, id);
    ++arena_.shared().ops;
  }

  /// One statement is one snapshot.
  void check_snapshot() {
    std::int64_t sum = 0;
    std::int64_t transactions = 0;
    std::int64_t last_row = 0;
    const int code = db_.exec(
        "SELECT (SELECT sum(balance) FROM account), (SELECT transactions FROM total),"
        " (SELECT coalesce(max(rowid), 0) FROM ledger)",
        [&](sqlite3_stmt* row) {
          sum = sqlite3_column_int64(row, 0);
          transactions = sqlite3_column_int64(row, 1);
          last_row = sqlite3_column_int64(row, 2);
        });
    if (code != 0) return failed(code, "reading");
    ++arena_.shared().ops;
    if (sum == kAccounts * kInitialBalance && transactions == last_row) return;
    arena_.report({"a reader saw half a transaction", bank_.file,
                   fmt::format("worker {} in {}: sum {} (must be {}), {} transactions, last "
                               "ledger row {}",
                               id_.number, arena_.options().dirs[id_.dir], sum,
                               kAccounts * kInitialBalance, transactions, last_row)});
  }

  Arena& arena_;
  const Bank& bank_;
  WorkerId id_;
  Rng rng_;
  HistoryWriter history_;
  Db db_;
  std::uint32_t sequence_ = 0;
};

/// Every balance follows from the ledger; what differs was lost or doubled in between.
std::string wrong_balances(Db& db) {
  std::map<std::int64_t, std::int64_t> expected;
  for (int id = 1; id <= kAccounts; ++id)
    expected[id] = kInitialBalance;
  (void)db.exec("SELECT source, target, amount FROM ledger", [&](sqlite3_stmt* row) {
    expected[sqlite3_column_int64(row, 0)] -= sqlite3_column_int64(row, 2);
    expected[sqlite3_column_int64(row, 1)] += sqlite3_column_int64(row, 2);
  });
  std::string wrong;
  (void)db.exec("SELECT id, balance FROM account", [&](sqlite3_stmt* row) {
    const auto id = sqlite3_column_int64(row, 0);
    const auto balance = sqlite3_column_int64(row, 1);
    if (expected[id] != balance)
      wrong += fmt::format("account {}: {} but the ledger says {}\n", id, balance, expected[id]);
  });
  return wrong;
}
}  // namespace

int create_bank(Arena& arena, const Bank& bank, std::size_t dir) {
  Db db;
  int code = db.open(arena.path(dir, bank.file), kBusyTimeoutMs);
  if (code == 0)
    code = db.exec(
        fmt::format("PRAGMA journal_mode={0};"
                    "BEGIN;"
                    "CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
                    "CREATE TABLE ledger(seq INTEGER PRIMARY KEY, id INTEGER NOT NULL UNIQUE,"
                    " source INTEGER NOT NULL REFERENCES account(id),"
                    " target INTEGER NOT NULL REFERENCES account(id), amount INTEGER NOT NULL);"
                    "CREATE TABLE total(transactions INTEGER NOT NULL);"
                    "INSERT INTO total VALUES(0);"
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {1})"
                    " INSERT INTO account SELECT i, {2} FROM n;"
                    "COMMIT;",
                    bank.journal_mode, kAccounts, kInitialBalance));
  if (code != 0) arena.report({"SQLite failed: " + db.error(), bank.file, "creating the database"});
  return code == 0 ? 0 : 1;
}

int work_in_bank(Arena& arena, const Bank& bank, WorkerId id) {
  return Teller(arena, bank, id).run();
}

int audit_bank(Arena& arena, const Bank& bank, std::size_t dir) {
  const auto where = fmt::format("{} seen through {}", bank.file, arena.options().dirs[dir]);
  Db db;
  std::string damage;
  int code = db.open(arena.path(dir, bank.file), 60'000);
  if (code == 0)
    code = db.exec("PRAGMA integrity_check; PRAGMA foreign_key_check", [&](sqlite3_stmt* row) {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(row, 0));
      if (text != nullptr && std::string(text) != "ok") damage += std::string(text) + "\n";
    });
  if (code != 0) {
    arena.report({"the final check failed: " + db.error(), where, damage});
    return 0;
  }
  if (!damage.empty()) arena.report({"integrity_check found damage", where, damage});
  const auto sum = db.number("SELECT sum(balance) FROM account");
  if (sum.code != 0 || sum.value != kAccounts * kInitialBalance)
    arena.report({"the sum of all accounts changed", where,
                  fmt::format("{} must be {}", sum.value, kAccounts * kInitialBalance)});
  if (const auto wrong = wrong_balances(db); !wrong.empty())
    arena.report({"balances do not follow from the ledger", where, wrong});
  std::vector<std::uint64_t> present;
  code = db.exec("SELECT id FROM ledger", [&](sqlite3_stmt* row) {
    present.push_back(static_cast<std::uint64_t>(sqlite3_column_int64(row, 0)));
  });
  if (code != 0) arena.report({"the ledger cannot be read: " + db.error(), where, ""});
  auto history = arena.load_history();
  std::erase_if(history, [&](const Record& record) { return record.resource != bank.resource; });
  for (const auto& violation : judge_ledger(history, present, where))
    arena.report(violation);
  return 0;
}

ModeResult run_bank(Arena& arena, std::chrono::milliseconds time) {
  ModeResult result;
  const auto workers =
      std::max<unsigned>(arena.options().workers, static_cast<unsigned>(arena.dir_count()));
  std::vector<std::string> names;
  auto journals = arena.options().journals;
  if (journals.empty()) journals.assign(std::begin(kJournalModes), std::end(kJournalModes));
  for (const auto& journal_mode : journals) {
    const Bank bank{.file = fmt::format("bank-{}.db", journal_mode),
                    .journal_mode = journal_mode,
                    .resource = static_cast<std::uint16_t>(names.size())};
    names.push_back(bank.file);
    if (!arena.run_bounded("creating the bank", [&] { return create_bank(arena, bank, 0); }))
      continue;
    Load load{.title = fmt::format("bank {}", journal_mode),
              .time = time / journals.size(),
              .workers = workers,
              .body = {}};
    load.body = [&](WorkerId id) { return work_in_bank(arena, bank, id); };
    result.faults += run_load(arena, load, arena.options().seed + bank.resource);
    for (std::size_t dir = 0; dir < arena.dir_count(); ++dir)
      (void)arena.run_bounded("the final check", [&] { return audit_bank(arena, bank, dir); });
  }
  // BEGIN IMMEDIATE takes SQLite's RESERVED lock, so its holders may not overlap either.
  for (const auto& violation : find_overlaps(arena.load_history(), names))
    arena.report(violation);
  return result;
}

}  // namespace holdfast::torture
