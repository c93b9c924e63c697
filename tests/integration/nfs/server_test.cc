// The server as a whole: restarts, silence, refusals, and what the operator is told.

#include "holdfast/base/result.h"
#include "tests/integration/nfs/nfs_client.h"
#include "tests/support/nfs/fault_proxy.h"
#include "tests/support/nfs/ganesha_server.h"

#include <chrono>
#include <thread>

namespace holdfast::fs::testing {
namespace {

TEST(Server, KilledAndRestartedDuringWritesLosesNothingThatWasStable) {
  GaneshaServer server;
  NfsClient client(NfsClient::options());
  ASSERT_TRUE(client.mounted()) << client.failure().text;
  const auto made =
      client.sync(client->create(kRoot, client.root(), "data", CreateMode::kExclusive, {}));
  ASSERT_TRUE(made);
  WriteVerifier first = 0;
  WriteVerifier last = 0;
  for (std::uint32_t block = 0; block < 200; ++block) {
    if (block == 100) server.restart();
    const std::vector<std::uint8_t> bytes(4096, static_cast<std::uint8_t>(block));
    const auto written = client.sync(
        client->write(kRoot, made->handle, block * 4096ULL, bytes, Stability::kFileSync));
    ASSERT_TRUE(written) << written.error();
    if (block == 0) first = written->verifier;
    last = written->verifier;
  }
  EXPECT_NE(first, last) << "a restart must show in the write verifier";
  const auto read = client.sync(client->read(kRoot, made->handle, 0, 200 * 4096));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->data.size(), 200U * 4096);
  for (std::size_t i = 0; i < read->data.size(); ++i)
    ASSERT_EQ(read->data[i], static_cast<std::uint8_t>(i / 4096)) << "at " << i;
}

TEST(Server, AHardMountWaitsOutABlackHoleAndARefusal) {
  GaneshaServer server;
  FaultProxy proxy(2049, FaultProxy::SourcePorts::kKept);
  NfsClient client(NfsClient::options(proxy.port()));
  ASSERT_TRUE(client.mounted()) << client.failure().text;
  std::thread mender;
  proxy.black_hole(true);
  mender = std::thread([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(1500));
    proxy.black_hole(false);
  });
  EXPECT_TRUE(client.sync(client->getattr(kRoot, client.root())));
  mender.join();
  proxy.refuse(true);
  mender = std::thread([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    proxy.refuse(false);
  });
  EXPECT_TRUE(client.sync(client->getattr(kRoot, client.root())));
  mender.join();
}

TEST(Server, IsReachedOverIPv6) {
  GaneshaServer server;
  auto options = NfsClient::options();
  options.server = "::1";
  NfsClient client(options);
  ASSERT_TRUE(client.mounted()) << client.failure().text;
  EXPECT_TRUE(client.sync(client->getattr(kRoot, client.root())));
}

TEST(Server, ASoftMountGivesUpWithETIMEDOUT) {
  GaneshaServer server;
  FaultProxy proxy(2049, FaultProxy::SourcePorts::kKept);
  auto options = NfsClient::options(proxy.port());
  options.hard = false;
  NfsClient client(options);
  ASSERT_TRUE(client.mounted()) << client.failure().text;
  proxy.black_hole(true);
  EXPECT_EQ(to_errno(client.sync(client->getattr(kRoot, client.root())).error()), ETIMEDOUT);
  proxy.black_hole(false);
  EXPECT_TRUE(client.sync(client->fsstat(kRoot)));
}

TEST(Server, StopEndsCallsThatWaitForADeadServer) {
  GaneshaServer server;
  NfsClient client(NfsClient::options());
  ASSERT_TRUE(client.mounted()) << client.failure().text;
  server.kill9();
  int seen = -1;
  boost::asio::co_spawn(
      client.io(), client->getattr(kRoot, client.root()),
      [&](std::exception_ptr, Result<Attributes> result) { seen = to_errno(result.error()); });
  client.io().restart();
  client.io().run_for(std::chrono::milliseconds(200));
  EXPECT_EQ(seen, -1);
  client.sync_void(client->stop());
  EXPECT_EQ(seen, ECANCELED);
}

TEST(Server, NothingIsSentWhileSuspended) {
  GaneshaServer server;
  FaultProxy proxy(2049, FaultProxy::SourcePorts::kKept);
  NfsClient client(NfsClient::options(proxy.port()));
  ASSERT_TRUE(client.mounted()) << client.failure().text;
  const auto made =
      client.sync(client->create(kRoot, client.root(), "data", CreateMode::kUnchecked, {}));
  ASSERT_TRUE(made);
  client->suspend();
  const std::vector<std::uint8_t> bytes(100, 1);
  bool done = false;
  boost::asio::co_spawn(
      client.io(), client->write(kRoot, made->handle, 0, bytes, Stability::kFileSync),
      [&](std::exception_ptr, Result<WriteResult> result) { done = result.has_value(); });
  client.io().restart();
  client.io().run_for(std::chrono::milliseconds(800));
  EXPECT_FALSE(done);
  EXPECT_EQ(proxy.calls(7), 0U);  // WRITE
  client->resume();
  while (!done)
    client.io().run_one();
  EXPECT_EQ(proxy.calls(7), 1U);
}

TEST(Server, ManyGroupsAreCutToWhatAuthSysCarries) {
  GaneshaServer server;
  NfsClient client(NfsClient::options());
  ASSERT_TRUE(client.mounted()) << client.failure().text;
  Credentials many{1000, 1000, {}};
  for (std::uint32_t group = 1000; group < 1040; ++group)
    many.groups.push_back(group);
  EXPECT_TRUE(client.sync(client->getattr(many, client.root())));
  EXPECT_TRUE(client.sync(client->create(many, client.root(), "f", CreateMode::kExclusive, {})));
}

TEST(Server, WithoutVersionThreeItIsSaidClearly) {
  GaneshaServer server({"--protocols", "4"});
  NfsClient client(NfsClient::options());
  EXPECT_FALSE(client.mounted());
  EXPECT_EQ(to_errno(client.failure().code), EPROTONOSUPPORT);
  EXPECT_NE(client.failure().text.find("does not offer NFS version 3"), std::string::npos)
      << client.failure().text;
}

TEST(Server, UnknownExportsAndUnreachableServersAreSaidClearly) {
  {
    GaneshaServer server;
    auto options = NfsClient::options();
    options.mountport = 0;  // by portmapper
    options.port = 0;
    options.path = "/other";
    NfsClient client(options);
    EXPECT_FALSE(client.mounted());
    EXPECT_NE(client.failure().text.find("127.0.0.1:/other: "), std::string::npos)
        << client.failure().text;
  }
  NfsClient client(NfsClient::options());
  EXPECT_FALSE(client.mounted());
  EXPECT_EQ(to_errno(client.failure().code), ECONNREFUSED);
  EXPECT_NE(client.failure().text.find("is the NFS server running?"), std::string::npos)
      << client.failure().text;
}

}  // namespace
}  // namespace holdfast::fs::testing
