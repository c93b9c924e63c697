// The NFS server refuses one call of an SQLite transaction, each in turn (F20): the program sees a
// success or an error, never both; what was acknowledged is there, what was refused is not, and the
// mount goes on.

#include "tests/support/fuse/mount_process.h"
#include "tests/support/fuse/mounts.h"
#include "tests/support/lock/lockd_process.h"
#include "tests/support/nfs/fault_proxy.h"
#include "tests/support/nfs/ganesha_server.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include <gtest/gtest.h>
#include <nfsc/libnfs-raw-nfs.h>
#include <sqlite3.h>
#include <unistd.h>

namespace holdfast {
namespace {

using fs::testing::FaultProxy;
using fs::testing::GaneshaServer;
using test::in_child;
using test::MountProcess;

constexpr unsigned kCallsMax = 400;  // of one transaction; more means that something repeats itself

int run(sqlite3* database, const std::string& sql) {
  return ::sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr);
}

/// A program that inserts one row and ends. SQLite's primary result code.
int insert(const std::string& path, unsigned row) {
  return in_child([&] {
    sqlite3* database = nullptr;
    int code = ::sqlite3_open(path.c_str(), &database);
    if (code == SQLITE_OK) {
      const std::string id = std::to_string(row);
      code = run(database, "INSERT INTO t VALUES (" + id + ", randomblob(6000))");
    }
    ::sqlite3_close(database);
    return code & 0xff;
  });
}

/// What a program that comes later finds: 0 = the database is sound, and has the row iff `wanted`.
int examine(const std::string& path, unsigned row, bool wanted) {
  return in_child([&] {
    sqlite3* database = nullptr;
    if (::sqlite3_open(path.c_str(), &database) != SQLITE_OK) return 1;
    int result = 2;
    const auto text = [](void* out, int, char** values, char**) {
      *static_cast<std::string*>(out) = values[0] != nullptr ? values[0] : "";
      return 0;
    };
    std::string answer;
    if (::sqlite3_exec(database, "PRAGMA integrity_check", text, &answer, nullptr) == SQLITE_OK)
      result = answer == "ok" ? 0 : 3;
    if (result == 0) {
      const std::string sql = "SELECT count(*) FROM t WHERE id = " + std::to_string(row);
      if (::sqlite3_exec(database, sql.c_str(), text, &answer, nullptr) != SQLITE_OK) result = 4;
      if (result == 0 && answer != (wanted ? "1" : "0")) result = 5;
    }
    ::sqlite3_close(database);
    return result;
  });
}

struct Case {
  const char* name;
  const char* journal;
  std::uint32_t status;
};

void PrintTo(const Case& one, std::ostream* out) {  // NOLINT(readability-identifier-naming): gtest
  *out << one.name;
}

class ServerErrors : public ::testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    test::enter_private_mounts();
    parts_ = std::make_unique<Parts>();
  }
  static void TearDownTestSuite() { parts_.reset(); }
  void SetUp() override { ASSERT_TRUE(parts_->mount->mounted()) << parts_->mount->log(); }

  struct Parts {
    Parts() {
      std::string pattern = std::filesystem::temp_directory_path() / "holdfast-errors-XXXXXX";
      if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
      directory = pattern;
      mount.emplace(directory / "a", wire::to_string(lockd.address()), proxy.port());
    }
    ~Parts() {
      mount.reset();
      std::filesystem::remove_all(directory);
    }
    Parts(const Parts&) = delete;
    Parts& operator=(const Parts&) = delete;

    GaneshaServer server;
    FaultProxy proxy{2049, FaultProxy::SourcePorts::kChanged};
    support::LockdProcess lockd;
    std::filesystem::path directory;
    std::optional<MountProcess> mount;
  };
  inline static std::unique_ptr<Parts> parts_;
};

TEST_P(ServerErrors, AtAnyCallOfATransactionAreAnErrorOrASuccessNeverBoth) {
  const Case& one = GetParam();
  const std::string path = parts_->mount->at(std::string(one.name) + ".db");
  ASSERT_EQ(in_child([&] {
              sqlite3* database = nullptr;
              ::sqlite3_open(path.c_str(), &database);
              const std::string mode = "PRAGMA journal_mode=" + std::string(one.journal);
              int code = run(database, mode);
              if (code == SQLITE_OK)
                code = run(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)");
              ::sqlite3_close(database);
              return code;
            }),
            SQLITE_OK);
  unsigned refused = 0;
  bool struck = true;
  unsigned call = 0;
  for (; struck && call < kCallsMax; ++call) {
    parts_->proxy.arm({.procedure = FaultProxy::kAnyProcedure,
                       .action = FaultProxy::Action::kAnswer,
                       .status = one.status,
                       .after = call});
    const int code = insert(path, call);
    struck = parts_->proxy.disarm();
    if (one.status == NFS3ERR_JUKEBOX) {
      EXPECT_EQ(code, SQLITE_OK) << "call " << call << ": later is not never";
    }
    if (code != SQLITE_OK) ++refused;
    ASSERT_EQ(examine(path, call, code == SQLITE_OK), 0)
        << "call " << call << " was refused, the program was told " << code;
  }
  EXPECT_LT(call, kCallsMax) << "a transaction without a refused call at last";
  // With tokens a transaction costs about ten.
  const bool tokens = std::getenv("HOLDFAST_TEST_CACHE") != nullptr;
  EXPECT_GT(call, tokens ? 4U : 10U) << "many calls were refused, one in each transaction";
  if (one.status != NFS3ERR_JUKEBOX) {
    EXPECT_GT(refused, 0U) << "programs are told";
  }
}

INSTANTIATE_TEST_SUITE_P(Each, ServerErrors,
                         ::testing::Values(Case{"DeleteIo", "DELETE", NFS3ERR_IO},
                                           Case{"DeleteStale", "DELETE", NFS3ERR_STALE},
                                           Case{"DeleteLater", "DELETE", NFS3ERR_JUKEBOX},
                                           Case{"TruncateNoSpace", "TRUNCATE", NFS3ERR_NOSPC},
                                           Case{"PersistQuota", "PERSIST", NFS3ERR_DQUOT},
                                           Case{"WalReadOnly", "WAL", NFS3ERR_ROFS},
                                           Case{"WalIo", "WAL", NFS3ERR_IO}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace holdfast
