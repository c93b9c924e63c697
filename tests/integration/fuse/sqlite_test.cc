// SQLite on two mounts: rollback journals from both at once, WAL on one at a time.
#include "tests/integration/fuse/fixture.h"

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <iostream>
#include <utility>
#include <vector>

#include <sqlite3.h>

namespace holdfast::test {
namespace {

class Sqlite : public TwoMounts {
 protected:
  static void SetUpTestSuite() { set_up(std::chrono::seconds(10)); }
};

/// A connection; every method gives SQLite's result code.
class Database {
 public:
  /// Busy for so long means stuck, however slow the disk: the mounts' watchdog ends it before.
  static constexpr int kPatienceMs = 120'000;

  explicit Database(const std::string& path, int busy_ms = kPatienceMs) {
    code_ = ::sqlite3_open(path.c_str(), &handle_);
    ::sqlite3_busy_timeout(handle_, busy_ms);
  }
  ~Database() { close(); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  void close() {
    ::sqlite3_close(handle_);
    handle_ = nullptr;
  }
  int run(const std::string& sql) {
    answer_.clear();
    const auto keep = [](void* self, int count, char** values, char**) {
      if (count > 0 && values[0] != nullptr) static_cast<Database*>(self)->answer_ = values[0];
      return 0;
    };
    return ::sqlite3_exec(handle_, sql.c_str(), keep, this, nullptr);
  }
  int each_row(const std::string& sql, const std::function<void()>& row) {
    sqlite3_stmt* statement = nullptr;
    int code = ::sqlite3_prepare_v2(handle_, sql.c_str(), -1, &statement, nullptr);
    while (code == SQLITE_OK || code == SQLITE_ROW) {
      code = ::sqlite3_step(statement);
      if (code == SQLITE_ROW) row();
    }
    ::sqlite3_finalize(statement);
    return code;
  }
  /// Why the last call failed, for whoever reads the test's output.
  [[nodiscard]] std::string failure() const {
    return std::string(::sqlite3_errmsg(handle_)) + ", code " +
           std::to_string(::sqlite3_extended_errcode(handle_));
  }
  std::string ask(const std::string& sql) {
    const int code = run(sql);
    return code == SQLITE_OK ? answer_ : "<" + std::string(::sqlite3_errstr(code)) + ">";
  }

 private:
  sqlite3* handle_ = nullptr;
  int code_ = 0;
  std::string answer_;
};

int increments(const std::string& path, int count) {
  Database database(path);
  for (int i = 0; i < count; ++i) {
    int code = database.run("BEGIN IMMEDIATE");
    if (code == SQLITE_OK) code = database.run("UPDATE c SET n = n + 1");
    if (code == SQLITE_OK) code = database.run("INSERT INTO log VALUES (randomblob(300))");
    if (code == SQLITE_OK) code = database.run("COMMIT");
    if (code != SQLITE_OK) {
      std::cerr << path << ", transaction " << i << ": " << database.failure() << "\n";
      return code & 0xff;
    }
  }
  return 0;
}

void make(const std::string& path, const std::string& mode) {
  Database database(path);
  ASSERT_EQ(database.ask("PRAGMA journal_mode=" + mode), mode);
  ASSERT_EQ(database.run("CREATE TABLE c(n); INSERT INTO c VALUES(0); CREATE TABLE log(b)"),
            SQLITE_OK);
}

class RollbackJournal : public Sqlite, public ::testing::WithParamInterface<const char*> {};

TEST_P(RollbackJournal, WritersOnBothMountsLoseNothing) {
  const std::string name = std::string("roll-") + GetParam() + ".db";
  make(a(name), GetParam());
  constexpr int kEach = 25;
  std::vector<Child> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&, i] { return increments(i % 2 == 0 ? a(name) : b(name), kEach); });
  }
  for (auto& worker : workers)
    EXPECT_EQ(worker.wait(), 0);
  for (const auto& path : {a(name), b(name)}) {
    Database database(path);
    EXPECT_EQ(database.ask("SELECT n FROM c"), std::to_string(4 * kEach));
    EXPECT_EQ(database.ask("SELECT count(*) FROM log"), std::to_string(4 * kEach));
    EXPECT_EQ(database.ask("PRAGMA integrity_check"), "ok");
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, RollbackJournal,
                         ::testing::Values("delete", "truncate", "persist"));

TEST_F(Sqlite, AHotJournalOfAKilledWriterIsRolledBackOnTheOtherMount) {
  make(a("hot.db"), "delete");
  Child writer([] {
    Database database(a("hot.db"));
    // A cache of a few pages spills the uncommitted change into the database file.
    database.run("PRAGMA cache_size=5; BEGIN IMMEDIATE; UPDATE c SET n = 99");
    for (int i = 0; i < 200; ++i)
      database.run("INSERT INTO log VALUES (randomblob(3000))");
    put(a("hot.ready"), "");
    ::pause();
    return 0;
  });
  ASSERT_TRUE(eventually([] { return ::access(a("hot.ready").c_str(), F_OK) == 0; }));
  ASSERT_EQ(::access(back("hot.db-journal").c_str(), F_OK), 0);
  writer.kill(SIGKILL);
  writer.wait();
  Database database(b("hot.db"));
  EXPECT_EQ(database.ask("SELECT n FROM c"), "0");
  EXPECT_EQ(database.ask("SELECT count(*) FROM log"), "0");
  EXPECT_EQ(database.ask("PRAGMA integrity_check"), "ok");
}

TEST_F(Sqlite, ManyProcessesOfOneMountShareAWalAndTheIndexIsNeverOnTheStorage) {
  make(a("wal.db"), "wal");
  constexpr int kEach = 60;
  std::vector<Child> workers;
  for (int i = 0; i < 4; ++i)
    workers.emplace_back([] { return increments(a("wal.db"), kEach); });
  Child reader([] {
    Database database(a("wal.db"));
    for (int i = 0; i < 100; ++i) {
      // One snapshot: the counter and the rows were changed together.
      if (database.ask("SELECT (SELECT n FROM c) = (SELECT count(*) FROM log)") != "1") return 1;
    }
    return 0;
  });
  EXPECT_NE(::access(back("wal.db-shm").c_str(), F_OK), 0);
  for (auto& worker : workers)
    EXPECT_EQ(worker.wait(), 0);
  EXPECT_EQ(reader.wait(), 0);
  Database database(a("wal.db"));
  EXPECT_EQ(database.ask("SELECT n FROM c"), std::to_string(4 * kEach));
  EXPECT_EQ(database.ask("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(::access(a("wal.db-shm").c_str(), F_OK), 0) << "the mount shows it to its own";
  EXPECT_NE(::access(b("wal.db-shm").c_str(), F_OK), 0);
  EXPECT_NE(::access(back("wal.db-shm").c_str(), F_OK), 0);
}

TEST_F(Sqlite, AWalOwnedByOneMountIsBusyForTheOtherAndMovesWhenTheLastUserCloses) {
  make(a("own.db"), "wal");
  Database owner(a("own.db"));
  ASSERT_EQ(owner.run("UPDATE c SET n = 1"), SQLITE_OK);
  Database other(b("own.db"), 300);
  EXPECT_EQ(other.ask("SELECT n FROM c"), "<database is locked>");
  EXPECT_EQ(other.run("UPDATE c SET n = 7"), SQLITE_BUSY);
  ASSERT_EQ(owner.run("UPDATE c SET n = 2"), SQLITE_OK);
  owner.close();
  EXPECT_EQ(other.ask("SELECT n FROM c"), "2");
  ASSERT_EQ(other.run("UPDATE c SET n = 3"), SQLITE_OK);
  Database back_again(a("own.db"), 300);
  EXPECT_EQ(back_again.ask("SELECT n FROM c"), "<database is locked>");
  other.close();
  EXPECT_EQ(back_again.ask("SELECT n FROM c"), "3");
  EXPECT_EQ(back_again.ask("PRAGMA integrity_check"), "ok");
}

TEST_F(Sqlite, TheBusyHandlerOfTheSecondMountWaitsForTheFirst) {
  make(a("wait.db"), "wal");
  auto owner = std::make_unique<Database>(a("wait.db"));
  ASSERT_EQ(owner->run("UPDATE c SET n = 1"), SQLITE_OK);
  Child other([] {
    Database database(b("wait.db"));
    return database.run("UPDATE c SET n = n + 1");
  });
  EXPECT_FALSE(other.ends_within(std::chrono::milliseconds(300)));
  owner.reset();
  EXPECT_EQ(other.wait(), SQLITE_OK);
}

TEST_F(Sqlite, WhatAKilledWalUserCommittedIsThereOnTheOtherMount) {
  make(a("killed.db"), "wal");
  Child writer([] {
    Database database(a("killed.db"));
    database.run("PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=FULL");
    for (int i = 0; i < 20; ++i)
      database.run("UPDATE c SET n = n + 1; INSERT INTO log VALUES(1)");
    put(a("killed.ready"), "");
    ::pause();
    return 0;
  });
  ASSERT_TRUE(eventually([] { return ::access(a("killed.ready").c_str(), F_OK) == 0; }));
  writer.kill(SIGKILL);
  writer.wait();
  {
    Database other(b("killed.db"));
    EXPECT_EQ(other.ask("SELECT n FROM c"), "20");
    ASSERT_EQ(other.run("UPDATE c SET n = n + 1"), SQLITE_OK);
  }
  // The first mount still has the killed user's index in memory: it must not be believed.
  Database again(a("killed.db"));
  EXPECT_EQ(again.ask("SELECT n FROM c"), "21");
  ASSERT_EQ(again.run("UPDATE c SET n = n + 1"), SQLITE_OK);
  EXPECT_EQ(again.ask("PRAGMA integrity_check"), "ok");
}

TEST_F(Sqlite, SwitchingModesUnderUseOnBothMountsStaysSound) {
  make(a("mode.db"), "delete");
  std::vector<Child> workers;
  for (int i = 0; i < 2; ++i)
    workers.emplace_back([i] { return increments(i == 0 ? a("mode.db") : b("mode.db"), 40); });
  for (int round = 0; round < 6; ++round) {
    const auto path = round % 2 == 0 ? a("mode.db") : b("mode.db");
    Database database(path, 2000);
    // May be refused with SQLITE_BUSY: that is an answer, too.
    (void)database.run(round % 3 == 0 ? "PRAGMA journal_mode=delete" : "PRAGMA journal_mode=wal");
  }
  for (auto& worker : workers)
    EXPECT_EQ(worker.wait(), 0);
  Database database(b("mode.db"));
  EXPECT_EQ(database.ask("SELECT n FROM c"), "80");
  EXPECT_EQ(database.ask("SELECT count(*) FROM log"), "80");
  EXPECT_EQ(database.ask("PRAGMA integrity_check"), "ok");
}

TEST_F(Sqlite, AnIndexLeftOnTheStorageIsHiddenAndNotBelieved) {
  make(a("left.db"), "wal");
  ASSERT_EQ(put(back("left.db-shm"), std::string(32768, 'g')), 0);
  EXPECT_NE(::access(a("left.db-shm").c_str(), F_OK), 0);
  for (const auto& entry : std::filesystem::directory_iterator(a("")))
    EXPECT_NE(entry.path().filename(), "left.db-shm");
  Database database(a("left.db"));
  EXPECT_EQ(database.ask("SELECT n FROM c"), "0");
  ASSERT_EQ(database.run("UPDATE c SET n = 5"), SQLITE_OK);
  EXPECT_EQ(database.ask("PRAGMA integrity_check"), "ok");
  EXPECT_EQ(get(back("left.db-shm")).size(), 32768U) << "left alone";
}

TEST_F(Sqlite, AFileNamedLikeAnIndexWithoutADatabaseIsAnOrdinaryFile) {
  ASSERT_EQ(put(a("notes-shm"), "text"), 0);
  EXPECT_EQ(get(b("notes-shm")), "text");
  EXPECT_EQ(get(back("notes-shm")), "text");
}

// SQLite takes EIO of a read for a damaged medium and says "database disk image is malformed",
// which makes people restore backups. It is the lock that is lost, not the database.
TEST_F(Sqlite, ALostLockIsAnIoErrorAndNeverADamagedDatabase) {
  make(a("reader.db"), "delete");
  {
    Database database(a("reader.db"));
    ASSERT_EQ(database.run("BEGIN IMMEDIATE"), SQLITE_OK);
    for (int i = 0; i < 200; ++i)
      ASSERT_EQ(database.run("INSERT INTO log VALUES (randomblob(3000))"), SQLITE_OK);
    ASSERT_EQ(database.run("COMMIT"), SQLITE_OK);
  }
  Child reader([] {
    Database database(a("reader.db"));
    database.run("PRAGMA cache_size=5");
    // One statement, one shared lock, pages read again and again.
    bool reading = false;
    const int code = database.each_row("SELECT length(l.b) FROM log k, log l, log m", [&] {
      if (!std::exchange(reading, true)) put(back("reader.ready"), "");
      ::usleep(200);
    });
    return code & 0xff;
  });
  ASSERT_TRUE(eventually([] { return ::access(back("reader.ready").c_str(), F_OK) == 0; }));
  ASSERT_TRUE(mounts_->replace_lockd());
  EXPECT_EQ(reader.wait(), SQLITE_IOERR);
  Database database(a("reader.db"));
  EXPECT_EQ(database.ask("SELECT count(*) FROM log"), "200") << "a new open starts anew";
  EXPECT_EQ(database.ask("PRAGMA integrity_check"), "ok");
}

}  // namespace
}  // namespace holdfast::test
