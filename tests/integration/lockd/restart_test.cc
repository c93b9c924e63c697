// holdfast-lockd killed and started again under real lock clients.
#include "tests/integration/wire/lock_client_fixture.h"
#include "tests/support/lock/lockd_process.h"

#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::DrivenLoop;
using support::LockdProcess;

std::string log_of(const LockdProcess& lockd) {
  std::ostringstream text;
  text << std::ifstream(lockd.log_path()).rdbuf();
  return text.str();
}

void kill_and_start(LockdProcess& lockd) {
  lockd.signal(SIGKILL);
  lockd.wait();
  lockd.start();
}

TEST(LockdKilled, HoldersKeepTheirLocksAndWaitersTheirOrder) {
  // A long lease: if anything waited for one, the loop's patience would end first.
  LockdProcess lockd({"--lease-ttl", "60"});
  DrivenLoop loop;
  TestMount holder(loop, lockd.address());
  TestMount first(loop, lockd.address());
  TestMount second(loop, lockd.address());
  ASSERT_TRUE(loop.finish(holder.lock(1, LockMode::kExclusive)));
  auto first_lock = first.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(100ms);
  auto second_lock = second.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(100ms);
  for (int round = 0; round < 3; ++round) {
    kill_and_start(lockd);
    loop.until([&] {
      return holder.client->entitled() && first.client->entitled() && second.client->entitled();
    });
    loop.drive(200ms);
    EXPECT_FALSE(DrivenLoop::ready(first_lock));
    EXPECT_FALSE(DrivenLoop::ready(second_lock));
  }
  ASSERT_TRUE(loop.finish(holder.unlock(1))) << "the unlock ends no earlier than grace";
  ASSERT_TRUE(loop.finish(std::move(first_lock)));
  EXPECT_FALSE(DrivenLoop::ready(second_lock)) << "first come, first served, over three lives";
  ASSERT_TRUE(loop.finish(first.unlock(1)));
  ASSERT_TRUE(loop.finish(std::move(second_lock)));
  for (const TestMount* mount : {&holder, &first, &second})
    EXPECT_TRUE(mount->heard.empty()) << mount->heard.front();
  EXPECT_NE(log_of(lockd).find("known_sessions=3 empty=no grace=yes"), std::string::npos);
}

TEST(LockdKilled, WhoeverDoesNotComeBackIsWaitedFor) {
  LockdProcess lockd({"--lease-ttl", "1", "--storage-delay", "0.3"});
  DrivenLoop loop;
  support::RawPeer gone(lockd.address());
  gone.open_session();
  gone.ask(1, lock_request(1, LockMode::kExclusive));
  TestMount other(loop, lockd.address());
  auto wanted = other.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(50ms);
  kill_and_start(lockd);
  loop.until([&] { return other.client->entitled(); });
  EXPECT_FALSE(DrivenLoop::ready(wanted)) << "its lease still runs, whatever lockd forgot";
  EXPECT_TRUE(loop.finish(std::move(wanted)));
  EXPECT_NE(log_of(lockd).find("fence.waiting"), std::string::npos) << log_of(lockd);
}

TEST(LockdKilled, AStoreThatWasPutBackServesNobody) {
  LockdProcess lockd({"--lease-ttl", "60"});
  std::ostringstream backup;
  lockd.signal(SIGTERM);
  lockd.wait();
  backup << std::ifstream(lockd.store_path(), std::ios::binary).rdbuf();
  lockd.start();
  DrivenLoop loop;
  TestMount mount(loop, lockd.address());
  ASSERT_TRUE(loop.finish(mount.lock(1, LockMode::kExclusive)));
  const Epoch seen = support::RawPeer(lockd.address()).open_session().epoch;
  lockd.signal(SIGKILL);
  lockd.wait();
  std::ofstream(lockd.store_path(), std::ios::binary | std::ios::trunc) << backup.str();
  ::unlink((lockd.store_path() + "-journal").c_str());
  std::this_thread::sleep_for(2500ms);  // so that the wall clock alone makes a later epoch
  lockd.start();
  support::RawPeer peer(lockd.address());
  Hello hello;
  hello.epoch_seen = seen;
  peer.send(hello);
  EXPECT_EQ(peer.expect<HelloRefused>().errc, LockErrc::kStaleLockd);
  support::RawPeer another(lockd.address());
  another.send(Hello{});
  EXPECT_EQ(another.expect<HelloRefused>().errc, LockErrc::kStaleLockd);
}

}  // namespace
}  // namespace holdfast
