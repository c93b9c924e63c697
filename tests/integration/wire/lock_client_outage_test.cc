// The lock client while lockd is away, and when it comes back as another.
#include "lockd/server/standby_door.h"
#include "tests/integration/wire/lock_client_fixture.h"
#include "tests/support/lock/lockd_process.h"

#include <algorithm>
#include <csignal>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using support::DrivenLoop;
using support::InProcessLockd;
using support::LockdProcess;

TEST(LockClientOutage, AnInterruptIsAnsweredAtOnceWhileLockdIsUnreachable) {
  if (tokens_of_test() == Tokens::kYes) GTEST_SKIP() << "alone, the mount decides it without lockd";
  InProcessLockd lockd;
  DrivenLoop loop;
  TestMount mount(loop, lockd.address());
  lockd.kill();
  task::Interrupt interrupt;
  auto waiting = mount.lock(1, LockMode::kExclusive, Wait::kYes, &interrupt);
  loop.drive(50ms);
  EXPECT_FALSE(DrivenLoop::ready(waiting));
  interrupt.request();
  loop.drive(50ms);
  ASSERT_TRUE(DrivenLoop::ready(waiting));
  EXPECT_EQ(waiting.get().error(), LockErrc::kInterrupted);
}

TEST(LockClientOutage, AnInterruptOfASentRequestIsAnsweredWhileLockdStandsStill) {
  LockdProcess lockd;
  DrivenLoop loop;
  TestMount mount(loop, lockd.address());
  TestMount holder(loop, lockd.address());
  ASSERT_TRUE(loop.finish(holder.lock(1, LockMode::kExclusive)));
  task::Interrupt interrupt;
  auto waiting = mount.lock(1, LockMode::kExclusive, Wait::kYes, &interrupt);
  loop.drive(50ms);
  auto freed = holder.unlock(1);  // so that a grant crosses the cancel
  lockd.signal(SIGSTOP);
  interrupt.request();
  loop.until([&] { return DrivenLoop::ready(waiting); });
  EXPECT_EQ(waiting.get().error(), LockErrc::kInterrupted);
  lockd.signal(SIGCONT);
  ASSERT_TRUE(loop.finish(std::move(freed)));
  EXPECT_TRUE(loop.finish(holder.lock(2, LockMode::kExclusive, Wait::kYes)))
      << "a grant that crossed was given back";
}

TEST(LockClientOutage, ALockdThatLostItsStoreMeansLostThenANewSession) {
  InProcessLockd lockd({.lease_ttl = 1s, .adjust = {}});
  DrivenLoop loop;
  TestMount mount(loop, lockd.address());
  const auto session = mount.client->session();
  ASSERT_TRUE(loop.finish(mount.lock(1, LockMode::kExclusive)));
  TestMount other(loop, lockd.address());
  auto pending = mount.lock(2, LockMode::kExclusive, Wait::kYes);
  auto patient = other.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(50ms);
  lockd.kill();
  lockd.forget();
  lockd.start();
  const auto ended = loop.finish(std::move(pending));
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error(), LockErrc::kSessionLost);
  loop.until([&] { return mount.client->session() && mount.client->session() != session; });
  EXPECT_EQ(std::count(mount.heard.begin(), mount.heard.end(), "lost"), 1);
  EXPECT_FALSE(mount.entitled_at_loss) << "lost is heard before the next session is entitled";
  EXPECT_TRUE(loop.finish(std::move(patient))) << "who held nothing lost nothing: it waits on";
  EXPECT_EQ(std::count(other.heard.begin(), other.heard.end(), "lost"), 0);
  EXPECT_TRUE(loop.finish(other.unlock(1)));
  loop.run(mount.client->wait_entitled());
  EXPECT_TRUE(loop.finish(mount.lock(1, LockMode::kExclusive))) << "the new session works";
}

TEST(LockClientOutage, SuspendsByItselfAtTheDeadlineAndResumesWithItsLocks) {
  LockdProcess lockd({"--lease-ttl", "2"});
  DrivenLoop loop;
  TestMount mount(loop, lockd.address());
  ASSERT_TRUE(loop.finish(mount.lock(1, LockMode::kExclusive)));
  lockd.signal(SIGSTOP);
  loop.until([&] { return !mount.client->entitled(); });
  auto waiting = loop.begin(mount.client->wait_entitled());
  loop.drive(900ms);  // well past what lockd promised
  EXPECT_FALSE(DrivenLoop::ready(waiting));
  EXPECT_EQ(mount.heard, std::vector<std::string>{"suspended"});
  lockd.signal(SIGCONT);
  loop.finish(std::move(waiting));
  EXPECT_TRUE(mount.client->entitled());
  EXPECT_EQ(mount.heard, (std::vector<std::string>{"suspended", "resumed"}))
      << "lockd ends no lease for the time it stood still itself";
  TestMount other(loop, lockd.address());
  EXPECT_FALSE(loop.finish(other.lock(1, LockMode::kShared))) << "the lock is still held";
  EXPECT_TRUE(loop.finish(mount.unlock(1)));
}

TEST(LockClientOutage, StandbysAreAskedMoreAndMoreSeldomThoughTheLeaseRuns) {
  InProcessLockd lockd;
  DrivenLoop loop;
  lockd::StandbyDoor door(loop.executor(), nullptr);
  ASSERT_TRUE(door.open(wire::TcpAddress{"127.0.0.1", 0}));
  {
    TestMount mount(loop, {lockd.address(), door.listening().front()});
    lockd.kill();
    loop.drive(3s);
    EXPECT_TRUE(mount.client->entitled());
    EXPECT_GE(door.answered(), 1u);
    EXPECT_LE(door.answered(), 10u) << "0.1, 0.2, 0.4, 0.8, 1 s, half of it random";
    lockd.start();
    EXPECT_TRUE(loop.finish(mount.lock(1, LockMode::kExclusive))) << "and goes on";
  }
  loop.run(door.stop());
}

TEST(LockClientOutage, AKilledLockdLosesNoAnswerAcrossConnectionCuts) {
  // Connections are cut at random points by a peer that resumes the session in between: every call
  // is still answered exactly once.
  InProcessLockd lockd;
  DrivenLoop loop;
  TestMount mount(loop, lockd.address());
  std::vector<std::future<Result<Granted>>> calls;
  for (int round = 0; round < 20; ++round) {
    for (std::uint64_t i = 0; i < 50; ++i) {
      LockRequest request = lock_request(i + 1, LockMode::kShared);
      request.file.fileid = i;
      calls.push_back(loop.begin(mount.client->lock(request, nullptr)));
    }
    loop.context().restart();
    loop.context().poll();
    lockd.inspect([](const lockd::Server&) {});
    mount.client->break_connection_for_test();
    loop.drive(std::chrono::milliseconds(round));
  }
  for (auto& call : calls)
    EXPECT_TRUE(loop.finish(std::move(call)));
  EXPECT_TRUE(mount.heard.empty()) << "neither suspended nor lost";
  EXPECT_EQ(mount.client->core().open_calls(), 0u);
}

}  // namespace
}  // namespace holdfast
