// Two nodes write one database.

#include "cli/bench/fs/database.h"
#include "cli/bench/fs/scenario.h"

#include <array>
#include <random>
#include <stdexcept>

#include <fmt/format.h>

namespace holdfast::bench::fs {
namespace {

constexpr int kBusyTimeoutMs = 30'000;
constexpr int kAccounts = 100;
constexpr int kInitialBalance = 1'000;

/// An operation: begin at once, add up all balances, move an amount between two accounts, enter it
/// in the writer's ledger, commit.
class Writers final : public Scenario {
 public:
  Writers(const Place& place, std::string journal)
      : place_(place), file_("writers-" + journal + ".db"), journal_(std::move(journal)) {}

  void prepare() const override {
    Database db(place_.path(file_), kBusyTimeoutMs);
    db.run("PRAGMA journal_mode=" + journal_);
    db.run(
        fmt::format("BEGIN; CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);"
                    "CREATE TABLE ledger(writer INTEGER PRIMARY KEY, transfers INTEGER NOT NULL);"
                    "INSERT INTO ledger VALUES(0, 0), (1, 0);"
                    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
                    " INSERT INTO account SELECT i, {} FROM n; COMMIT",
                    kAccounts, kInitialBalance));
  }

  void work(Worker& worker) const override {
    Database db(place_.path(file_, worker.index()), kBusyTimeoutMs);
    db.run("PRAGMA journal_mode=" + journal_);
    Database::Statement begin(db, "BEGIN IMMEDIATE");
    Database::Statement sum(db, "SELECT sum(balance) FROM account");
    Database::Statement move(db, "UPDATE account SET balance = balance + ?1 WHERE id = ?2");
    Database::Statement enter(db, "UPDATE ledger SET transfers = transfers + 1 WHERE writer = ?1");
    Database::Statement commit(db, "COMMIT");
    std::minstd_rand random(static_cast<unsigned>(worker.index()) + 1);
    worker.measure(0, [&] {
      begin.run();
      check_sum(sum.run());
      const auto amount = static_cast<std::int64_t>(random() % 50) + 1;
      move.run(-amount, static_cast<std::int64_t>(random() % kAccounts) + 1);
      move.run(amount, static_cast<std::int64_t>(random() % kAccounts) + 1);
      enter.run(static_cast<std::int64_t>(worker.index()));
      commit.run();
    });
  }

  void judge(std::uint64_t operations) const override {
    for (std::size_t mount = 0; mount < 2; ++mount) {
      Database db(place_.path(file_, mount), kBusyTimeoutMs);
      const std::string verdict = db.text("PRAGMA integrity_check");
      if (verdict != "ok") throw std::runtime_error("the database is damaged: " + verdict);
      check_sum(db.number("SELECT sum(balance) FROM account"));
      const auto entered = db.number("SELECT sum(transfers) FROM ledger");
      if (entered != static_cast<std::int64_t>(operations)) {
        throw std::runtime_error(
            fmt::format("{} transfers were committed, the ledger knows {}", operations, entered));
      }
    }
  }

 private:
  static void check_sum(std::int64_t sum) {
    if (sum == std::int64_t{kAccounts} * kInitialBalance) return;
    throw std::runtime_error(fmt::format("the balances add up to {} instead of {}", sum,
                                         std::int64_t{kAccounts} * kInitialBalance));
  }

  const Place& place_;
  std::string file_, journal_;
};

}  // namespace

void add_writer_kinds(std::vector<Kind>& all) {
  Kind kind;
  kind.name = "writers-delete";
  kind.text = "a transfer in one database, written by two mounts at once";
  kind.mounts = kind.workers = 2;
  kind.make = [](const Place& place, const Options&) {
    return std::make_unique<Writers>(place, "DELETE");
  };
  all.push_back(std::move(kind));
}

}  // namespace holdfast::bench::fs
