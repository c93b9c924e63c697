// lockd's store: what it keeps, and what it refuses to serve from.
#include "lockd/store/etcd/etcd_store.h"
#include "lockd/store/memory_store.h"
#include "lockd/store/sqlite.h"
#include "lockd/store/sqlite_store.h"
#include "tests/integration/lockd/store_fixture.h"
#include "tests/support/etcd/etcd_cluster.h"
#include "tests/support/lock/driven_loop.h"

#include <array>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>

namespace holdfast::lockd {
namespace {

using namespace testing;
using namespace std::chrono_literals;
using ::testing::HasSubstr;

enum class Kind { kMemory, kSqlite, kEtcd };

// The same promises for every implementation: `make` builds a store for a next life of lockd over
// the same stable storage.
class StoreContract : public ::testing::TestWithParam<Kind> {
 protected:
  static void TearDownTestSuite() { etcd().reset(); }

  std::unique_ptr<Store> make(std::uint64_t wall_seconds = 0) {
    switch (GetParam()) {
      case Kind::kMemory:
        return std::make_unique<MemoryStore>(memory_, wall_seconds);
      case Kind::kSqlite:
        return std::make_unique<SqliteStore>(loop_.executor(), directory_ / "store", wall_seconds);
      case Kind::kEtcd:
        break;
    }
    if (!etcd()) etcd() = std::make_unique<support::EtcdCluster>();
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    const EtcdEvents events{
        .waits = [](const std::string&) {},
        .leads = [] {},
        .lost = [](const std::string& why) { ADD_FAILURE() << "deposed: " << why; }};
    EtcdOptions options;
    options.location = *parse_etcd(etcd()->url(std::string("/") + test->name()));
    return std::make_unique<EtcdStore>(loop_.executor(), options, wall_seconds,
                                       fresh_etcd_identity(), events);
  }
  Recovered life(const std::vector<StoreChanges>& writes, std::uint64_t wall_seconds = 0,
                 milliseconds lease_ttl = kTtl) {
    const auto store = make(wall_seconds);
    auto opened = loop_.run(store->open(lease_ttl));
    if (!opened) throw std::runtime_error(opened.error().what);
    for (const StoreChanges& changes : writes) {
      const auto written = loop_.run(store->write(changes));
      if (!written) throw std::runtime_error(written.error().message());
    }
    loop_.run(store->close());
    return *opened;
  }

 private:
  // One for all tests, each with a prefix of its own.
  static std::unique_ptr<support::EtcdCluster>& etcd() {
    static std::unique_ptr<support::EtcdCluster> cluster;
    return cluster;
  }
  Directory directory_;
  std::shared_ptr<Contents> memory_ = std::make_shared<Contents>();
  support::DrivenLoop loop_;
};

std::string name_of(const ::testing::TestParamInfo<Kind>& which) {
  constexpr std::array kNames{"Memory", "Sqlite", "Etcd"};
  return kNames.at(static_cast<std::size_t>(which.param));
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContract,
                         ::testing::Values(Kind::kMemory, Kind::kSqlite, Kind::kEtcd), name_of);

TEST_P(StoreContract, EpochsGrowAndAreNeverBelowTheWallClock) {
  EXPECT_EQ(life({}, 1000).epoch.value, 1000u);
  EXPECT_EQ(life({}, 1000).epoch.value, 1001u);
  EXPECT_EQ(life({}, 5).epoch.value, 1002u) << "the wall clock went back";
  EXPECT_EQ(life({}, 2000).epoch.value, 2000u);
}

TEST_P(StoreContract, KnowsTheEpochOfTheLifeBefore) {
  EXPECT_FALSE(life({}, 1000).before) << "there was none";
  EXPECT_EQ(life({}, 2000).before, Epoch{1000});
  EXPECT_EQ(life({}, 3000).before, Epoch{2000});
}

TEST_P(StoreContract, IsEmptyUntilALifeHasSeenItsGraceEnd) {
  EXPECT_TRUE(life({}).empty);
  EXPECT_TRUE(life({{PutSession{sample_session(1)}}}).empty) << "the first life ended too early";
  EXPECT_TRUE(life({{Settled{}}}).empty);
  EXPECT_FALSE(life({}).empty);
}

TEST_P(StoreContract, RemembersTheLongestLeaseUntilItsGraceIsOver) {
  EXPECT_EQ(life({}, 0, 60s).lease_ttl_max, 60s);
  EXPECT_EQ(life({}, 0, 10s).lease_ttl_max, 60s);
  EXPECT_EQ(life({{Settled{}}}, 0, 10s).lease_ttl_max, 60s);
  EXPECT_EQ(life({}, 0, 10s).lease_ttl_max, 10s);
}

TEST_P(StoreContract, APutSessionKeepsItsLosses) {
  SessionRecord record = sample_session(1);
  const FileLoss loss{{3}, {1, 2}};
  life({{PutSession{record}, PutLoss{record.session, loss}}});
  record.address = "198.51.100.7";
  life({{PutSession{record}}});
  const Recovered recovered = life({});
  ASSERT_EQ(recovered.sessions.size(), 1u);
  EXPECT_EQ(recovered.sessions[0].address, "198.51.100.7");
  EXPECT_EQ(recovered.sessions[0].losses, std::vector{loss});
}

TEST_P(StoreContract, KeepsWhatTheModelKeeps) {
  Contents model;
  for (std::uint64_t step = 0; step < 120; step += 12) {
    std::vector<StoreChanges> writes;
    for (std::uint64_t i = 0; i < 12; ++i)
      writes.push_back(sample_changes(step + i));
    writes.push_back(writes.back());  // a repeated write changes nothing
    const Recovered found = life(writes);
    model.begin_life(0, kTtl);
    ASSERT_EQ(text_of(found), text_of(model.recovered())) << step;
    ASSERT_EQ(found.epoch, model.epoch);
    for (const StoreChanges& changes : writes) {
      for (const StoreChange& change : changes)
        model.apply(change, kTtl);
    }
  }
}

class SqliteStoreFile : public ::testing::Test {
 protected:
  Directory directory;
  std::string path = directory / "store";
  void run_sql(const char* sql) { Sqlite(path).run(sql); }
};

TEST_F(SqliteStoreFile, HoldsSecretsSoOnlyItsOwnerMayReadIt) {
  std::unique_ptr<SqliteFile> file;
  ASSERT_TRUE(start(path, file));
  ASSERT_TRUE(file->write(sample_changes(1)));
  for (const char* name : {"store", "store-journal"}) {
    struct stat status {};
    ASSERT_EQ(::stat((directory / name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << name;
  }
  file.reset();
  ::chmod(path.c_str(), 0644);
  ASSERT_TRUE(start(path));
  struct stat status {};
  ::stat(path.c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0600u) << "made so again";
}

TEST_F(SqliteStoreFile, ASecondLockdIsRefusedAndTheFirstGoesOn) {
  std::unique_ptr<SqliteFile> first;
  ASSERT_TRUE(start(path, first));
  EXPECT_THAT(refusal(start(path)), HasSubstr("in use by another holdfast-lockd"));
  EXPECT_TRUE(first->write(sample_changes(2)));
  EXPECT_THAT(refusal(start(path)), HasSubstr("in use by another holdfast-lockd"));
  first.reset();
  EXPECT_TRUE(start(path));
}

TEST_F(SqliteStoreFile, OfManyThatStartAtOnceAtMostOneServes) {
  for (int round = 0; round < 10; ++round) {
    std::vector<std::unique_ptr<SqliteFile>> files(4);
    std::vector<std::thread> threads;
    std::atomic<int> served{0};
    for (auto& file : files) {
      threads.emplace_back([&] { served += start(path, file) ? 1 : 0; });
    }
    for (std::thread& thread : threads)
      thread.join();
    EXPECT_LE(served, 1);
    files.clear();
    const auto again = start(path);
    EXPECT_TRUE(again) << "nobody broke it: " << (again ? "" : again.error().what);
    ::unlink(path.c_str());
    ::unlink((path + "-journal").c_str());
  }
}

TEST_F(SqliteStoreFile, AnotherApplicationsDatabaseIsLeftAlone) {
  write_file(path, "");
  run_sql("CREATE TABLE notes (text); INSERT INTO notes VALUES ('precious');");
  const std::string before = read_file(path);
  EXPECT_THAT(refusal(start(path)), HasSubstr("another application"));
  EXPECT_EQ(read_file(path), before);
}

TEST_F(SqliteStoreFile, WhatIsNoDatabaseIsLeftAlone) {
  const std::string text(5000, 'x');
  write_file(path, text);
  EXPECT_THAT(refusal(start(path)), HasSubstr("no SQLite database"));
  EXPECT_EQ(read_file(path), text);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_THAT(refusal(start(path)), HasSubstr("no regular file"));
}

TEST_F(SqliteStoreFile, AnEmptyFileIsAStoreThatWasCutOff) {
  write_file(path, "");
  EXPECT_THAT(refusal(start(path)), HasSubstr("it is empty"));
  EXPECT_EQ(read_file(path), "");
}

TEST_F(SqliteStoreFile, ANewerFormatIsRefused) {
  ASSERT_TRUE(start(path));
  run_sql("PRAGMA user_version = 9");
  const std::string said = refusal(start(path));
  EXPECT_THAT(said, HasSubstr("has format 9"));
  EXPECT_THAT(said, HasSubstr("a newer holdfast-lockd wrote it"));
}

// As format 1 was: without two columns, and without them in the sums.
TEST_F(SqliteStoreFile, FormatOneIsReadAndBecomesFormatTwo) {
  std::unique_ptr<SqliteFile> file;
  ASSERT_TRUE(start(path, file));
  const SessionRecord old = sample_session(3);
  const FileLoss loss{{3}, {1, 2}};
  ASSERT_TRUE(file->write({PutSession{old}, PutLoss{old.session, loss}}));
  file.reset();
  run_sql(
      "ALTER TABLE sessions DROP COLUMN quiet; ALTER TABLE sessions DROP COLUMN breaks;"
      "PRAGMA user_version = 1");
  const auto read = start(path, file);
  ASSERT_TRUE(read) << refusal(read);
  ASSERT_EQ(read->sessions.size(), 1u);
  EXPECT_EQ(read->sessions[0].node, old.node);
  EXPECT_EQ(read->sessions[0].quiet, Quiet::kNo);
  EXPECT_EQ(read->sessions[0].losses, std::vector{loss});
  SessionRecord quiet = old;
  quiet.quiet = Quiet::kFenced;
  quiet.breaks.files.insert(FileKey{9, ~std::uint64_t{0}});
  ASSERT_TRUE(file->write({PutSession{quiet}}));
  file.reset();
  EXPECT_EQ(Sqlite(path).number("PRAGMA user_version"), 2);
  const auto again = start(path);
  ASSERT_TRUE(again) << refusal(again);
  EXPECT_EQ(again->sessions[0].quiet, Quiet::kFenced);
  EXPECT_EQ(again->sessions[0].breaks, quiet.breaks);
  run_sql("UPDATE sessions SET quiet = 0");
  EXPECT_THAT(refusal(start(path)), HasSubstr("the record of session"));
}

TEST_F(SqliteStoreFile, AChangedRecordIsNamed) {
  std::unique_ptr<SqliteFile> file;
  ASSERT_TRUE(start(path, file));
  const SessionRecord record = sample_session(3);
  ASSERT_TRUE(file->write({PutSession{record}}));
  file.reset();
  run_sql("UPDATE sessions SET write_life_ms = 1");
  EXPECT_THAT(refusal(start(path)), HasSubstr(fmt::format("{:016x}", record.session.value)));
  run_sql("DELETE FROM sessions");
  EXPECT_THAT(refusal(start(path)), HasSubstr("should hold 1 records and holds 0"));
}

TEST_F(SqliteStoreFile, TheOperatorsWordMakesAStoreThatIsNotEmpty) {
  ASSERT_TRUE(SqliteStore::create_settled(path));
  const auto first = start(path);
  ASSERT_TRUE(first);
  EXPECT_FALSE(first->empty);
  EXPECT_EQ(first->before, Epoch{0}) << "a mount that has seen any epoch contradicts the operator";
  const auto again = SqliteStore::create_settled(path);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, errno_code(EEXIST));
  EXPECT_THAT(again.error().hint, HasSubstr("start without --new-volume"));
}

TEST_F(SqliteStoreFile, AMissingDirectoryIsNotInvented) {
  EXPECT_THAT(refusal(start(directory / "no/store")), HasSubstr("its directory does not exist"));
}

TEST_F(SqliteStoreFile, ReadOnlyStorageIsRefused) {
  ASSERT_TRUE(start(path));
  const std::string missing = directory / "other";
  const bool allowed = with_private_mounts([&] {
    const std::string at = directory.path();
    ASSERT_EQ(::mount(at.c_str(), at.c_str(), nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(::mount(nullptr, at.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
    EXPECT_THAT(refusal(start(path)), HasSubstr("read-only storage"));
    EXPECT_THAT(refusal(start(missing)), HasSubstr("read-only storage"));
  });
  if (!allowed) GTEST_SKIP() << "may not mount here";
}

TEST_F(SqliteStoreFile, AFullDiskIsRefusedAtTheStartAndReportedLater) {
  const bool allowed = with_private_mounts([&] {
    const std::string at = directory.path();
    ASSERT_EQ(::mount("none", at.c_str(), "tmpfs", 0, "size=256k,mode=700"), 0);
    std::unique_ptr<SqliteFile> file;
    ASSERT_TRUE(start(path, file));
    const std::string ballast = directory / "ballast";
    const auto fill_up = [&] {
      std::ofstream out(ballast, std::ios::app);
      while (out << std::string(512, 'x') << std::flush) {
      }
    };
    fill_up();
    Contents model;
    model.begin_life(0, kTtl);
    bool full = false;
    for (std::uint64_t id = 1; id < 200; ++id) {
      const StoreChange change = PutSession{sample_session(id)};
      auto written = file->write({change});
      if (!written) {
        full = true;
        EXPECT_EQ(to_errno(written.error()), ENOSPC);
        EXPECT_FALSE(file->write({change})) << "still full";
        std::filesystem::remove(ballast);
        written = file->write({change});  // as the server does: the same again
      }
      ASSERT_TRUE(written);
      model.apply(change, kTtl);
    }
    EXPECT_TRUE(full);
    file.reset();
    const auto recovered = start(path);
    ASSERT_TRUE(recovered) << recovered.error().what;
    EXPECT_EQ(text_of(*recovered), text_of(model.recovered()));
    fill_up();
    EXPECT_THAT(refusal(start(directory / "other")), HasSubstr("is full"));
  });
  if (!allowed) GTEST_SKIP() << "may not mount here";
}

TEST_F(SqliteStoreFile, AnotherUsersStoreIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  ASSERT_TRUE(start(path));
  ::chmod(directory.path().c_str(), 0755);
  // The system call, not the library's function, changes this one thread's user only.
  std::thread nobody([&] {
    ASSERT_EQ(::syscall(SYS_setresuid, 65534, 65534, 65534), 0);
    EXPECT_THAT(refusal(start(path)), HasSubstr("this user may not write"));
  });
  nobody.join();
}

}  // namespace
}  // namespace holdfast::lockd
