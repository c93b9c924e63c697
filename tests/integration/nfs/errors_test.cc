// What the server refuses: "later" is asked again until it is done, an error is told as it is.

#include "holdfast/base/result.h"
#include "tests/integration/nfs/nfs_client.h"
#include "tests/support/nfs/fault_proxy.h"
#include "tests/support/nfs/ganesha_server.h"

#include <cerrno>
#include <fstream>
#include <set>
#include <string>

#include <nfsc/libnfs-raw-nfs.h>

namespace holdfast::fs::testing {
namespace {

class ServerErrors : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(client_.mounted()) << client_.failure().text; }
  void answer(std::uint32_t procedure, std::uint32_t status, unsigned times = 1) {
    proxy_.arm({.procedure = procedure,
                .action = FaultProxy::Action::kAnswer,
                .status = status,
                .times = times});
  }
  FileHandle file(const std::string& name) {
    const auto entry =
        client_.sync(client_->create(kRoot, client_.root(), name, CreateMode::kUnchecked, {}));
    EXPECT_TRUE(entry) << entry.error();
    return entry ? entry->handle : FileHandle{};
  }

  GaneshaServer server_;
  FaultProxy proxy_{2049, FaultProxy::SourcePorts::kChanged};
  NfsClient client_{NfsClient::options(proxy_.port())};
};

TEST_F(ServerErrors, LaterIsAskedAgainUntilItIsDone) {
  constexpr unsigned kRefusals = 3;
  const std::vector<std::uint8_t> bytes(4096, 0x11);
  const auto handle = file("data");
  answer(NFS3_WRITE, NFS3ERR_JUKEBOX, kRefusals);
  const auto written = client_.sync(client_->write(kRoot, handle, 0, bytes, Stability::kFileSync));
  ASSERT_TRUE(written) << written.error();
  EXPECT_TRUE(proxy_.struck());
  EXPECT_EQ(proxy_.calls(NFS3_WRITE), kRefusals + 1);
  answer(NFS3_READ, NFS3ERR_JUKEBOX, kRefusals);
  const auto read = client_.sync(client_->read(kRoot, handle, 0, 4096));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->data, bytes);
  EXPECT_TRUE(proxy_.struck());
}

// Each refusal was no execution, so the call that is asked again is no repetition: its EEXIST or
// ENOENT is the server's, not its own.
TEST_F(ServerErrors, LaterIsNoRepetition) {
  std::filesystem::create_directory(server_.directory() / "taken");
  answer(NFS3_MKDIR, NFS3ERR_JUKEBOX, 2);
  const auto made = client_.sync(client_->mkdir(kRoot, client_.root(), "taken", {}));
  EXPECT_EQ(to_errno(made.error()), EEXIST);
  EXPECT_TRUE(proxy_.struck());
  answer(NFS3_REMOVE, NFS3ERR_JUKEBOX, 2);
  const auto removed = client_.sync(client_->remove(kRoot, client_.root(), "absent"));
  EXPECT_EQ(to_errno(removed.error()), ENOENT);
  EXPECT_TRUE(proxy_.struck());
}

TEST_F(ServerErrors, ErrorsAreToldAsTheyAre) {
  struct Case {
    std::uint32_t status;
    int number;
  };
  const auto handle = file("data");
  for (const Case& one :
       {Case{NFS3ERR_IO, EIO}, Case{NFS3ERR_NOSPC, ENOSPC}, Case{NFS3ERR_DQUOT, EDQUOT},
        Case{NFS3ERR_ROFS, EROFS}, Case{NFS3ERR_STALE, ESTALE}, Case{NFS3ERR_BADHANDLE, ESTALE}}) {
    answer(FaultProxy::kAnyProcedure, one.status);
    const std::vector<std::uint8_t> bytes(10, 1);
    const auto written =
        client_.sync(client_->write(kRoot, handle, 0, bytes, Stability::kFileSync));
    EXPECT_EQ(to_errno(written.error()), one.number);
    answer(FaultProxy::kAnyProcedure, one.status);
    EXPECT_EQ(to_errno(client_.sync(client_->getattr(kRoot, handle)).error()), one.number);
    answer(FaultProxy::kAnyProcedure, one.status);
    EXPECT_EQ(to_errno(client_.sync(client_->commit(kRoot, handle, 0, 0)).error()), one.number);
    EXPECT_TRUE(proxy_.struck());
    EXPECT_TRUE(client_.sync(client_->getattr(kRoot, handle))) << "once is once";
  }
}

// A server without READDIRPLUS: the same names by READDIR, and it is not asked again.
TEST_F(ServerErrors, AServerWithoutReaddirplusIsListedByReaddir) {
  constexpr int kFiles = 300;  // several pages
  for (int i = 0; i < kFiles; ++i)
    std::ofstream(server_.directory() / ("file-" + std::to_string(i))).put('x');
  answer(NFS3_READDIRPLUS, NFS3ERR_NOTSUPP, 1000);
  for (int round = 0; round < 2; ++round) {
    std::set<std::string> names;
    std::uint64_t cookie = 0;
    std::uint64_t verifier = 0;
    for (bool end = false; !end;) {
      const auto page =
          client_.sync(client_->readdir(kRoot, client_.root(), cookie, verifier, 4096));
      ASSERT_TRUE(page) << page.error();
      for (const auto& entry : page->entries) {
        EXPECT_TRUE(names.insert(entry.name).second) << entry.name << " twice";
        cookie = entry.cookie;
      }
      verifier = page->verifier;
      end = page->eof;
    }
    names.erase(".");
    names.erase("..");
    EXPECT_EQ(names.size(), std::size_t{kFiles});
  }
  EXPECT_FALSE(proxy_.disarm());
  EXPECT_GT(proxy_.calls(NFS3_READDIR), 2U);
  EXPECT_EQ(proxy_.calls(NFS3_READDIRPLUS), 1U);
}

}  // namespace
}  // namespace holdfast::fs::testing
