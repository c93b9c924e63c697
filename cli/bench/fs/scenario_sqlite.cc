// INSERT and SELECT by journal mode: what one database costs that one node uses.

#include "cli/bench/fs/database.h"
#include "cli/bench/fs/scenario.h"

#include <array>
#include <cctype>
#include <string_view>

#include <fmt/format.h>

namespace holdfast::bench::fs {
namespace {

constexpr int kBusyTimeoutMs = 30'000;
constexpr int kRows = 10'000;
constexpr std::size_t kRowBytes = 100;
constexpr int kWarmUp = 5;

std::string lower(std::string_view text) {
  std::string out;
  for (const char c : text)
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

class Sqlite : public Scenario {
 public:
  Sqlite(const Place& place, std::string_view what, std::string journal, std::string synchronous)
      : path_(place.path(fmt::format("{}-{}-{}.db", what, journal, synchronous))),
        journal_(std::move(journal)),
        synchronous_(std::move(synchronous)) {}

 protected:
  void configure(Database& db) const {
    db.run("PRAGMA journal_mode=" + journal_);
    db.run("PRAGMA synchronous=" + synchronous_);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Else the first thousand pages are measured while the WAL still grows.
  void fill_wal(Database& db) const {
    if (journal_ != "WAL") return;
    db.run("DROP TABLE IF EXISTS filler; CREATE TABLE filler(v BLOB)");
    db.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)"
        " INSERT INTO filler SELECT zeroblob(4000) FROM n");
  }

 private:
  std::string path_, journal_, synchronous_;
};

class Insert final : public Sqlite {
 public:
  using Sqlite::Sqlite;
  void prepare() const override {
    Database db(path(), kBusyTimeoutMs);
    configure(db);
    db.run("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
  }
  void work(Worker& worker) const override {
    Database db(path(), kBusyTimeoutMs);
    configure(db);
    fill_wal(db);
    Database::Statement insert(
        db, fmt::format("INSERT INTO t(v) VALUES('{}')", std::string(kRowBytes, 'x')));
    for (int i = 0; i < kWarmUp; ++i)
      insert.run();
    worker.measure(0, [&] { insert.run(); });
  }
};

class Select final : public Sqlite {
 public:
  using Sqlite::Sqlite;
  void prepare() const override {
    Database db(path(), kBusyTimeoutMs);
    configure(db);
    db.run("BEGIN; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT)");
    db.run(
        fmt::format("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
                    " INSERT INTO t SELECT i, '{}' FROM n",
                    kRows, std::string(kRowBytes, 'y')));
    db.run("COMMIT");
  }
  void work(Worker& worker) const override {
    Database db(path(), kBusyTimeoutMs);
    configure(db);
    Database::Statement select(db, "SELECT v FROM t WHERE id=?1");
    // Every page once, so that all places start with a warm cache.
    (void)db.number("SELECT sum(length(v)) FROM t");
    std::int64_t key = 0;
    worker.measure(0, [&] {
      key = (key + 3'571) % kRows;  // no common factor: every row, in no order
      select.run(key + 1);
    });
  }
};

}  // namespace

void add_sqlite_kinds(std::vector<Kind>& all) {
  for (const char* journal : {"DELETE", "TRUNCATE", "PERSIST", "WAL"}) {
    for (const char* synchronous : {"FULL", "NORMAL"}) {
      Kind kind;
      kind.name = fmt::format("insert-{}-{}", lower(journal), lower(synchronous));
      kind.text = "one INSERT of 100 bytes, a transaction";
      kind.make = [journal, synchronous](const Place& place, const Options&) {
        return std::make_unique<Insert>(place, "insert", journal, synchronous);
      };
      all.push_back(std::move(kind));
    }
  }
  for (const char* journal : {"DELETE", "TRUNCATE", "PERSIST", "WAL"}) {
    Kind kind;
    kind.name = "select-" + lower(journal);
    kind.text = "one SELECT by key of 10,000 rows, in a process that did not write them";
    kind.make = [journal](const Place& place, const Options&) {
      return std::make_unique<Select>(place, "select", journal, "FULL");
    };
    all.push_back(std::move(kind));
  }
}

}  // namespace holdfast::bench::fs
