// Lost and cut replies: what the application sees is what would have happened without them.

#include "holdfast/base/result.h"
#include "tests/integration/nfs/nfs_client.h"
#include "tests/support/nfs/fault_proxy.h"
#include "tests/support/nfs/ganesha_server.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include <nfsc/libnfs-raw-nfs.h>
#include <nfsc/libnfs-zdr.h>

namespace holdfast::fs::testing {
namespace {

using Action = FaultProxy::Action;
using SourcePorts = FaultProxy::SourcePorts;

struct Case {
  const char* name;
  SourcePorts ports;
  Action action;
  std::size_t bytes;
};

class Faults : public ::testing::TestWithParam<Case> {
 protected:
  Faults() : proxy_(2049, GetParam().ports), client_(NfsClient::options(proxy_.port())) {}
  void SetUp() override { ASSERT_TRUE(client_.mounted()) << client_.failure().text; }
  void arm(std::uint32_t procedure) {
    proxy_.arm({.procedure = procedure, .action = GetParam().action, .bytes = GetParam().bytes});
  }
  FileHandle file(const std::string& name) {
    const auto entry =
        client_.sync(client_->create(kRoot, client_.root(), name, CreateMode::kUnchecked, {}));
    EXPECT_TRUE(entry) << entry.error();
    return entry ? entry->handle : FileHandle{};
  }
  int lookup(const std::string& name) {
    const auto entry = client_.sync(client_->lookup(kRoot, client_.root(), name));
    return entry ? 0 : to_errno(entry.error());
  }

  GaneshaServer server_;
  FaultProxy proxy_;
  NfsClient client_;
};

TEST_P(Faults, ReadIsExact) {
  std::vector<std::uint8_t> bytes(64U << 10);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{1});
  const auto handle = file("data");
  ASSERT_TRUE(client_.sync(client_->write(kRoot, handle, 0, bytes, Stability::kFileSync)));
  arm(NFS3_READ);
  const auto read = client_.sync(client_->read(kRoot, handle, 0, 64U << 10));
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(read->data, bytes);
  EXPECT_TRUE(proxy_.struck());
}

TEST_P(Faults, WriteArrivesOnce) {
  const std::vector<std::uint8_t> bytes(100'001, 0x5a);
  const auto handle = file("data");
  arm(NFS3_WRITE);
  const auto written = client_.sync(client_->write(kRoot, handle, 3, bytes, Stability::kFileSync));
  ASSERT_TRUE(written) << written.error();
  EXPECT_EQ(written->count, bytes.size());
  const auto read = client_.sync(client_->read(kRoot, handle, 3, 200'000));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->data, bytes);
  EXPECT_TRUE(proxy_.struck());
}

TEST_P(Faults, RemoveIsNotNOENT) {
  file("gone");
  arm(NFS3_REMOVE);
  const auto removed = client_.sync(client_->remove(kRoot, client_.root(), "gone"));
  EXPECT_TRUE(removed) << removed.error();
  EXPECT_EQ(lookup("gone"), ENOENT);
  EXPECT_TRUE(proxy_.struck());
  EXPECT_EQ(to_errno(client_.sync(client_->remove(kRoot, client_.root(), "gone")).error()), ENOENT);
}

TEST_P(Faults, ExclusiveCreateWinsOverItself) {
  SetAttributes attributes;
  attributes.mode = 0640;
  arm(NFS3_CREATE);
  const auto entry = client_.sync(
      client_->create(kRoot, client_.root(), "mine", CreateMode::kExclusive, attributes));
  ASSERT_TRUE(entry) << entry.error();
  EXPECT_EQ(entry->attributes.mode, 0640U);
  EXPECT_TRUE(proxy_.struck());
  const auto again = client_.sync(
      client_->create(kRoot, client_.root(), "mine", CreateMode::kExclusive, attributes));
  EXPECT_EQ(to_errno(again.error()), EEXIST);
}

TEST_P(Faults, RenameIsNotNOENT) {
  const auto handle = file("old");
  file("new");
  arm(NFS3_RENAME);
  const auto renamed =
      client_.sync(client_->rename(kRoot, client_.root(), "old", client_.root(), "new"));
  EXPECT_TRUE(renamed) << renamed.error();
  EXPECT_TRUE(proxy_.struck());
  EXPECT_EQ(lookup("old"), ENOENT);
  const auto there = client_.sync(client_->lookup(kRoot, client_.root(), "new"));
  ASSERT_TRUE(there);
  EXPECT_EQ(there->handle, handle);
}

TEST_P(Faults, MkdirIsNotEEXIST) {
  SetAttributes attributes;
  attributes.mode = 0750;
  arm(NFS3_MKDIR);
  const auto made = client_.sync(client_->mkdir(kRoot, client_.root(), "dir", attributes));
  ASSERT_TRUE(made) << made.error();
  EXPECT_EQ(made->attributes.type, FileType::kDirectory);
  EXPECT_TRUE(proxy_.struck());
  arm(NFS3_RMDIR);
  const auto removed = client_.sync(client_->rmdir(kRoot, client_.root(), "dir"));
  EXPECT_TRUE(removed) << removed.error();
  EXPECT_TRUE(proxy_.struck());
}

// mkdir is a lock for some programs: a directory that somebody else made must not pass for ours.
TEST_P(Faults, MkdirOfSomebodyElsesDirectoryStaysEEXIST) {
  std::filesystem::create_directory(server_.directory() / "taken");
  arm(NFS3_MKDIR);
  const auto made = client_.sync(client_->mkdir(kRoot, client_.root(), "taken", {}));
  EXPECT_EQ(to_errno(made.error()), EEXIST);
  EXPECT_TRUE(proxy_.struck());
}

TEST_P(Faults, LinkSymlinkAndMknodAreNotEEXIST) {
  const auto handle = file("file");
  arm(NFS3_LINK);
  const auto linked = client_.sync(client_->link(kRoot, handle, client_.root(), "hard"));
  ASSERT_TRUE(linked) << linked.error();
  EXPECT_EQ(linked->nlink, 2U);
  EXPECT_TRUE(proxy_.struck());
  arm(NFS3_SYMLINK);
  const auto symlink = client_.sync(client_->symlink(kRoot, client_.root(), "soft", "some/where"));
  ASSERT_TRUE(symlink) << symlink.error();
  EXPECT_TRUE(proxy_.struck());
  arm(NFS3_MKNOD);
  const auto fifo =
      client_.sync(client_->mknod(kRoot, client_.root(), "fifo", FileType::kFifo, {}, 0, 0));
  ASSERT_TRUE(fifo) << fifo.error();
  EXPECT_TRUE(proxy_.struck());
}

// As knfsd and nfs-ganesha do while they are busy with the first copy.
TEST(DroppedRepetition, IsRepeatedOnTheSameConnection) {
  const GaneshaServer server;
  FaultProxy proxy(2049, SourcePorts::kKept);
  auto options = NfsClient::options(proxy.port());
  options.timeo = std::chrono::minutes(10);  // so that nothing else helps
  NfsClient client(options);
  ASSERT_TRUE(client.mounted()) << client.failure().text;
  const auto entry =
      client.sync(client->create(kRoot, client.root(), "data", CreateMode::kUnchecked, {}));
  ASSERT_TRUE(entry) << entry.error();
  proxy.arm({.procedure = NFS3_WRITE, .action = Action::kSwallowAndCut});
  std::thread drops_the_next([&] {
    while (!proxy.struck())
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    proxy.arm({.procedure = NFS3_WRITE, .action = Action::kSwallow});
  });
  const std::vector<std::uint8_t> bytes(1'000, 0x5a);
  const auto written =
      client.sync(client->write(kRoot, entry->handle, 0, bytes, Stability::kFileSync));
  drops_the_next.join();
  EXPECT_TRUE(written) << written.error();
  EXPECT_TRUE(proxy.struck());
  EXPECT_EQ(proxy.calls(NFS3_WRITE), 3U);
}

INSTANTIATE_TEST_SUITE_P(
    Each, Faults,
    ::testing::Values(Case{"LostReplyNewPort", SourcePorts::kChanged, Action::kSwallowAndCut, 0},
                      Case{"LostReplySamePort", SourcePorts::kKept, Action::kSwallowAndCut, 0},
                      Case{"LostCall", SourcePorts::kChanged, Action::kCutCall, 0},
                      Case{"CutAfter2", SourcePorts::kChanged, Action::kCutReply, 2},
                      Case{"CutAfter4", SourcePorts::kChanged, Action::kCutReply, 4},
                      Case{"CutAfter100", SourcePorts::kChanged, Action::kCutReply, 100},
                      Case{"CutAfter30000", SourcePorts::kChanged, Action::kCutReply, 30'000},
                      Case{"SwallowedReply", SourcePorts::kChanged, Action::kSwallow, 0},
                      Case{"LateReply", SourcePorts::kChanged, Action::kDelay, 900}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace holdfast::fs::testing
