// Two lockd processes on a real etcd: killed, frozen, stopped, and everything started anew.
#include "cli/admin/admin.h"
#include "tests/integration/lockd/replicas_fixture.h"

#include <csignal>
#include <sstream>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::DrivenLoop;
using support::RawPeer;
using testing::ReplicaPair;

TEST(Replicas, KilledLeaderIsReplacedAndNobodyLosesAnything) {
  ReplicaPair pair({"--lease-ttl", "60"});
  DrivenLoop loop;
  TestMount holder(loop, pair.addresses());
  TestMount first(loop, pair.addresses());
  TestMount second(loop, pair.addresses());
  ASSERT_TRUE(loop.finish(holder.lock(1, LockMode::kExclusive)));
  auto first_lock = first.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(100ms);
  auto second_lock = second.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(100ms);
  for (int round = 0; round < 3; ++round) {
    pair.active().signal(SIGKILL);
    pair.active().wait();
    pair.other_leads(loop);
    loop.until([&] {
      return holder.client->entitled() && first.client->entitled() && second.client->entitled();
    });
    loop.drive(200ms);
    EXPECT_FALSE(DrivenLoop::ready(first_lock));
    EXPECT_FALSE(DrivenLoop::ready(second_lock));
    pair.standby().start();
    pair.standby_waits(loop);
  }
  ASSERT_TRUE(loop.finish(holder.unlock(1)));
  ASSERT_TRUE(loop.finish(std::move(first_lock)));
  EXPECT_FALSE(DrivenLoop::ready(second_lock)) << "first come, first served, over four leaders";
  ASSERT_TRUE(loop.finish(first.unlock(1)));
  ASSERT_TRUE(loop.finish(std::move(second_lock)));
  for (const TestMount* mount : {&holder, &first, &second})
    EXPECT_TRUE(mount->heard.empty()) << mount->heard.front();
}

TEST(Replicas, AFrozenLeaderThatWakesGrantsNothingAndRenewsNobody) {
  ReplicaPair pair({"--lease-ttl", "60"});
  RawPeer peer(pair.active().address());
  peer.open_session();
  ASSERT_TRUE(std::holds_alternative<Granted>(peer.ask(1, lock_request(1, LockMode::kExclusive))));
  pair.active().signal(SIGSTOP);
  // In its sockets when it wakes.
  peer.send(Renew{.tick = 7});
  Request request;
  request.number = {2};
  request.acknowledged = {1};
  request.command = lock_request(2, LockMode::kShared, Wait::kNo, ByteRange::whole_file());
  peer.send(request);
  RawPeer stranger_to_be(pair.active().address());
  Hello hello;
  stranger_to_be.send(hello);
  DrivenLoop loop;
  pair.standby().wait_leading();
  pair.active().signal(SIGCONT);
  while (const auto message = peer.receive()) {
    EXPECT_FALSE(std::holds_alternative<Renewed>(*message)) << "renewed by a deposed leader";
    EXPECT_FALSE(std::holds_alternative<Reply>(*message)) << "answered by a deposed leader";
  }
  while (const auto message = stranger_to_be.receive())
    EXPECT_FALSE(std::holds_alternative<Welcome>(*message)) << "welcomed by a deposed leader";
  pair.active().wait_said(" lockd.deposed ", 1);
  pair.active().wait_said(" lockd.standby ", 1);
  EXPECT_EQ(pair.standby().said(" lockd.leading "), 1u);
  EXPECT_EQ(pair.standby().said(" lockd.deposed "), 0u);
}

TEST(Replicas, MountsGoOnWhereTheOtherOneLeadsWhenTheirsIsFrozen) {
  ReplicaPair pair({"--lease-ttl", "6"});
  DrivenLoop loop;
  TestMount holder(loop, pair.addresses());
  TestMount waiter(loop, pair.addresses());
  ASSERT_TRUE(loop.finish(holder.lock(1, LockMode::kExclusive)));
  auto wanted = waiter.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(100ms);
  pair.active().signal(SIGSTOP);
  pair.other_leads(loop);
  loop.until([&] { return holder.client->entitled() && waiter.client->entitled(); });
  pair.standby().signal(SIGCONT);
  loop.drive(500ms);
  EXPECT_FALSE(DrivenLoop::ready(wanted)) << "the holder still holds it";
  ASSERT_TRUE(loop.finish(holder.unlock(1)));
  ASSERT_TRUE(loop.finish(std::move(wanted)));
  EXPECT_THAT(holder.heard, ::testing::Not(::testing::Contains("files lost")));
  EXPECT_THAT(holder.heard, ::testing::Not(::testing::Contains("lost")));
}

TEST(Replicas, ACleanStopHandsOverAtOnceAndEndsNoSession) {
  ReplicaPair pair({"--lease-ttl", "60", "--leader-ttl", "60"});
  DrivenLoop loop;
  TestMount holder(loop, pair.addresses());
  ASSERT_TRUE(loop.finish(holder.lock(1, LockMode::kExclusive)));
  pair.active().signal(SIGTERM);
  EXPECT_EQ(pair.active().wait(), 0);
  pair.other_leads(loop);  // its patience is shorter than the leader's time to live
  loop.until([&] { return holder.client->entitled(); });
  ASSERT_TRUE(loop.finish(holder.unlock(1)));
  EXPECT_TRUE(holder.heard.empty());
}

TEST(Replicas, AMountThatStartsInTheMiddleOfAFailOverWaitsForIt) {
  ReplicaPair pair({});
  DrivenLoop loop;
  pair.active().signal(SIGKILL);
  pair.active().wait();
  const std::vector<wire::Address> dead_last{pair.standby().address(), pair.active().address()};
  EXPECT_EQ(pair.standby().said(" lockd.leading "), 0u);
  TestMount mount(loop, dead_last);
  EXPECT_EQ(pair.standby().said(" lockd.leading "), 1u);
  EXPECT_TRUE(loop.finish(mount.lock(1, LockMode::kExclusive)));
}

TEST(Replicas, AStandbyStopsWhenToldTo) {
  ReplicaPair pair({});
  pair.standby().signal(SIGTERM);
  EXPECT_EQ(pair.standby().wait(), 0);
  EXPECT_EQ(pair.active().said(" lockd.deposed "), 0u);
}

TEST(Replicas, AStandbyTellsWhoAsksItThatItIsOne) {
  ReplicaPair pair({});
  std::ostringstream out;
  std::ostringstream errors;
  const cli::AdminOptions standby{.sockets = {pair.standby().admin_path()}, .json = false};
  EXPECT_EQ(cli::run_locks(standby, out, errors), 1);
  EXPECT_EQ(out.str(), "");
  EXPECT_THAT(errors.str(), ::testing::MatchesRegex("holdfast: the lockd at .*/lockd.sock is a "
                                                    "standby: the active one is .*:[0-9]+\n"));
  const cli::AdminOptions both{.sockets = {pair.standby().admin_path(), pair.active().admin_path()},
                               .json = false};
  EXPECT_EQ(cli::run_sessions(both, out, errors), 0);
  EXPECT_THAT(out.str(), ::testing::HasSubstr("no sessions"));
  // The path is free for the server when it is its turn.
  pair.active().signal(SIGTERM);
  pair.active().wait();
  pair.standby().wait_leading();
  EXPECT_EQ(cli::run_locks(standby, out, errors), 0);
}

TEST(Replicas, EverythingRestartedAtOnceLosesNothing) {
  ReplicaPair pair({"--lease-ttl", "60"});
  DrivenLoop loop;
  TestMount holder(loop, pair.addresses());
  TestMount waiter(loop, pair.addresses());
  ASSERT_TRUE(loop.finish(holder.lock(1, LockMode::kExclusive)));
  auto wanted = waiter.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(100ms);
  for (support::ReplicaProcess* one : {&pair.active(), &pair.standby()})
    one->signal(SIGKILL);
  pair.etcd().member(0).kill();
  for (support::ReplicaProcess* one : {&pair.active(), &pair.standby()}) {
    one->wait();
    one->start();
  }
  pair.etcd().member(0).start();
  loop.until([&] {
    return pair.active().said(" lockd.leading ") + pair.standby().said(" lockd.leading ") == 2;
  });
  loop.until([&] { return holder.client->entitled() && waiter.client->entitled(); });
  loop.drive(200ms);
  EXPECT_FALSE(DrivenLoop::ready(wanted));
  ASSERT_TRUE(loop.finish(holder.unlock(1)));
  ASSERT_TRUE(loop.finish(std::move(wanted)));
  EXPECT_TRUE(holder.heard.empty());
}

}  // namespace
}  // namespace holdfast
