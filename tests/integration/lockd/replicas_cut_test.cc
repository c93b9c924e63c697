// Lockds that cannot reach etcd, and an etcd without a quorum.
#include "tests/integration/lockd/replicas_fixture.h"
#include "tests/support/etcd/tcp_gate.h"

#include <csignal>

#include <fmt/format.h>
#include <gmock/gmock.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::DrivenLoop;
using support::RawPeer;
using support::ReplicaProcess;
using testing::ReplicaPair;

// Asks until the lockd does not answer any more; what it said after `deposed` is the crime.
struct Questioner {
  explicit Questioner(const wire::Address& address) : peer(address) { peer.open_session(); }
  /// False: the connection is over.
  bool ask_once(std::uint64_t number) {
    Request request;
    request.number = {number};
    request.acknowledged = {number - 1};
    request.command = lock_request(number, LockMode::kShared);
    try {
      peer.send(Renew{.tick = number});
      peer.send(request);
    } catch (const std::exception&) {
      return false;
    }
    for (;;) {
      const auto message = peer.receive();
      if (!message) return false;
      if (const auto* reply = std::get_if<Reply>(&*message)) return reply->number.value == number;
    }
  }
  RawPeer peer;
};

TEST(ReplicasCut, ALeaderThatIsCutFromEtcdStopsBeforeTheOtherOneLeads) {
  support::EtcdCluster etcd;
  support::TcpGate gate(etcd.member(0).client_port());
  testing::create_settled(etcd.url("/test"));
  ReplicaProcess cut(fmt::format("etcd://127.0.0.1:{}/test", gate.port()), {"--lease-ttl", "60"});
  ReplicaProcess other(etcd.url("/test"), {"--lease-ttl", "60"});
  cut.start();
  cut.wait_leading();
  other.start();
  other.wait_said("the active one is", 1);
  Questioner questioner(cut.address());
  ASSERT_TRUE(questioner.ask_once(1));
  gate.shut(true);
  std::uint64_t number = 2;
  // A lockd that answers does so by its authority, which ends before the other one leads.
  while (questioner.ask_once(number)) {
    ASSERT_EQ(other.said(" lockd.leading "), 0u) << "two of them act";
    ++number;
    std::this_thread::sleep_for(10ms);
  }
  cut.wait_said(" lockd.deposed ", 1);
  other.wait_leading();
  cut.wait_said("etcd does not answer", 1);
  gate.shut(false);
  cut.wait_said("the active one is", 1);
  EXPECT_EQ(cut.said(" lockd.leading "), 1u);
  other.signal(SIGTERM);
  other.wait();
  cut.wait_leading(2);
}

TEST(ReplicasCut, WithoutAQuorumNobodyActsAndWhenItIsBackAllGoesOn) {
  ReplicaPair pair({"--lease-ttl", "4"}, 3);
  DrivenLoop loop;
  TestMount holder(loop, pair.addresses());
  TestMount waiter(loop, pair.addresses());
  ASSERT_TRUE(loop.finish(holder.lock(1, LockMode::kExclusive)));
  auto wanted = waiter.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(100ms);
  pair.etcd().member(1).signal(SIGSTOP);
  pair.etcd().member(2).kill();
  loop.until([&] { return pair.active().said(" lockd.deposed ") == 1; });
  loop.until([&] { return !holder.client->entitled() && !waiter.client->entitled(); });
  loop.drive(1s);
  EXPECT_EQ(pair.standby().said(" lockd.leading "), 0u);
  EXPECT_EQ(pair.active().said(" lockd.leading "), 1u);
  EXPECT_FALSE(DrivenLoop::ready(wanted));
  pair.etcd().member(1).signal(SIGCONT);
  pair.etcd().member(2).start();
  loop.until([&] { return holder.client->entitled() && waiter.client->entitled(); });
  loop.drive(300ms);
  EXPECT_FALSE(DrivenLoop::ready(wanted)) << "the holder kept its lock";
  ASSERT_TRUE(loop.finish(holder.unlock(1)));
  ASSERT_TRUE(loop.finish(std::move(wanted)));
  for (const TestMount* mount : {&holder, &waiter}) {
    EXPECT_THAT(mount->heard, ::testing::Not(::testing::Contains("files lost")));
    EXPECT_THAT(mount->heard, ::testing::Not(::testing::Contains("lost")));
  }
}

TEST(ReplicasCut, OneOfThreeMembersMayGo) {
  ReplicaPair pair({"--lease-ttl", "60"}, 3);
  DrivenLoop loop;
  TestMount mount(loop, pair.addresses());
  for (std::size_t victim = 0; victim < 3; ++victim) {
    pair.etcd().member(victim).kill();
    // Needs a record: a new session.
    loop.until([&] {
      try {
        RawPeer(pair.active().address()).open_session();
        return true;
      } catch (const std::exception&) {
        try {  // a new leader of etcd takes its time; lockds may have changed places meanwhile
          RawPeer(pair.standby().address()).open_session();
          return true;
        } catch (const std::exception&) {
          return false;
        }
      }
    });
    pair.etcd().member(victim).start();
    pair.etcd().wait_healthy();
  }
  loop.until([&] { return mount.client->entitled(); });
  ASSERT_TRUE(loop.finish(mount.lock(1, LockMode::kExclusive)));
  EXPECT_THAT(mount.heard, ::testing::Not(::testing::Contains("lost")));
}

}  // namespace
}  // namespace holdfast
