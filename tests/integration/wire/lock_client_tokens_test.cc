// Tokens of a mount over real sockets: recalled, reclaimed, lost, and of no use while suspended.
#include "tests/integration/wire/lock_client_fixture.h"
#include "tests/support/lock/lockd_process.h"

#include <algorithm>
#include <csignal>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using fs::Urgency;
using support::DrivenLoop;
using support::InProcessLockd;
using support::LockdProcess;

const FileKey kFile = lock_request(1, LockMode::kShared).file;

/// Two mounts, so that neither has the volume.
struct Pair {
  Pair(DrivenLoop& drives, const wire::Address& lockd)
      : loop(drives), a(loop, lockd, Tokens::kYes), b(loop, lockd, Tokens::kYes) {}
  std::future<Result<TokenMode>> pin(TestMount& mount, TokenUse use) {
    return loop.begin(mount.client->pin(kFile, use, Urgency::kMayWait, nullptr));
  }
  /// Takes the token, and uses it no longer.
  TokenMode take(TestMount& mount, TokenUse use) {
    const auto mode = loop.finish(pin(mount, use));
    if (!mode) throw std::runtime_error(mode.error().message());
    mount.client->unpin(kFile);
    return *mode;
  }
  DrivenLoop& loop;
  TestMount a;
  TestMount b;
};

std::uint64_t generation(const TestMount& mount) {
  return mount.client->token_generation(kFile);
}

TEST(LockClientTokens, WhoeverIsAloneWithAFileMayKeepItUntilAnotherWantsIt) {
  InProcessLockd lockd;
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  EXPECT_EQ(mounts.take(mounts.a, TokenUse::kWrite), TokenMode::kExclusive);
  EXPECT_NE(generation(mounts.a), 0U);
  EXPECT_EQ(mounts.take(mounts.b, TokenUse::kWrite), TokenMode::kExclusive);
  EXPECT_EQ(generation(mounts.a), 0U) << "given up before";
}

TEST(LockClientTokens, AnOperationThatHasItIsWaitedFor) {
  InProcessLockd lockd;
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  ASSERT_TRUE(loop.finish(mounts.pin(mounts.a, TokenUse::kWrite)));
  auto waits = mounts.pin(mounts.b, TokenUse::kWrite);
  loop.drive(100ms);
  EXPECT_FALSE(DrivenLoop::ready(waits));
  mounts.a.client->unpin(kFile);
  EXPECT_TRUE(loop.finish(std::move(waits)));
  mounts.b.client->unpin(kFile);
}

TEST(LockClientTokens, WhoFindsALockThatWasDecidedHereAndLeavesTheTokenThere) {
  InProcessLockd lockd;
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  ASSERT_EQ(mounts.take(mounts.a, TokenUse::kWrite), TokenMode::kExclusive);
  ASSERT_TRUE(loop.finish(mounts.a.lock(1, LockMode::kExclusive)));
  for (int i = 0; i < 2; ++i) {
    const WhoAnswer answer = loop.run(mounts.b.client->who(kFile.fileid, 5s));
    EXPECT_TRUE(answer.from_lockd);
    EXPECT_TRUE(answer.locks.empty()) << "lockd does not know of it";
    std::size_t here = 0;
    for (const WhoMount& mount : answer.mounts) {
      EXPECT_TRUE(mount.told);
      for (const ToldLock& lock : mount.locks)
        here += lock.here ? 1U : 0U;
    }
    EXPECT_EQ(here, 1U) << "the token is where it was";
  }
  lockd.kill();
  const WhoAnswer alone = loop.run(mounts.a.client->who(kFile.fileid, 100ms));
  EXPECT_FALSE(alone.from_lockd);
  ASSERT_EQ(alone.mounts.size(), 1U);
  EXPECT_EQ(alone.mounts[0].locks.size(), 1U) << "what this mount knows by itself";
}

TEST(LockClientTokens, ALockThatWasDecidedHereExcludesOthersWhenTheTokenGoes) {
  InProcessLockd lockd;
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  ASSERT_EQ(mounts.take(mounts.a, TokenUse::kWrite), TokenMode::kExclusive);
  const auto granted = loop.finish(mounts.a.lock(1, LockMode::kExclusive));
  ASSERT_TRUE(granted);
  EXPECT_EQ(granted->token.value, 0U) << "lockd does not know of it";
  const auto refused = loop.finish(mounts.b.lock(1, LockMode::kShared));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), LockErrc::kWouldBlock);
  auto waits = mounts.b.lock(1, LockMode::kShared, Wait::kYes);
  ASSERT_TRUE(loop.finish(mounts.a.unlock(1)));
  EXPECT_TRUE(loop.finish(std::move(waits)));
}

TEST(LockClientTokens, WhatADirectoryImpliesIsKnownToLockdWhenItWasGivenUp) {
  InProcessLockd lockd;
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  const FileKey directory{100, 0};
  fs::LockClient& a = *mounts.a.client;
  // Whoever has the volume has all of it under that.
  const FileKey any{200, 0};
  ASSERT_TRUE(loop.run(mounts.b.client->pin(any, TokenUse::kRead, Urgency::kMayWait, nullptr)));
  mounts.b.client->unpin(any);
  ASSERT_TRUE(loop.run(a.pin(directory, TokenUse::kWrite, Urgency::kMayWait, nullptr)));
  a.created(directory, kFile);
  a.unpin(directory);
  ASSERT_EQ(a.cover(kFile), directory);
  ASSERT_TRUE(loop.finish(mounts.pin(mounts.a, TokenUse::kWrite)));
  a.give_up(directory);
  ASSERT_TRUE(loop.run(a.pin(directory, TokenUse::kRead, Urgency::kMayWait, nullptr)));
  a.unpin(directory);
  EXPECT_FALSE(a.cover(kFile));
  auto waits = mounts.pin(mounts.b, TokenUse::kWrite);
  loop.drive(100ms);
  EXPECT_FALSE(DrivenLoop::ready(waits)) << "it is pinned here";
  a.unpin(kFile);
  EXPECT_TRUE(loop.finish(std::move(waits)));
  mounts.b.client->unpin(kFile);
}

TEST(LockClientTokens, ARestartOfLockdTakesNothing) {
  InProcessLockd lockd;
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  ASSERT_EQ(mounts.take(mounts.a, TokenUse::kWrite), TokenMode::kExclusive);
  ASSERT_TRUE(loop.finish(mounts.a.lock(1, LockMode::kExclusive)));
  const auto before = generation(mounts.a);
  lockd.kill();
  lockd.start();
  auto waits = mounts.b.lock(1, LockMode::kExclusive, Wait::kYes);
  loop.drive(300ms);
  EXPECT_FALSE(DrivenLoop::ready(waits)) << "it was reclaimed, with its lock";
  ASSERT_TRUE(loop.finish(mounts.a.unlock(1)));
  EXPECT_TRUE(loop.finish(std::move(waits)));
  EXPECT_NE(generation(mounts.a), before);
  EXPECT_TRUE(mounts.a.heard.empty());
}

TEST(LockClientTokens, ACutConnectionTakesNothing) {
  InProcessLockd lockd;
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  ASSERT_EQ(mounts.take(mounts.a, TokenUse::kWrite), TokenMode::kExclusive);
  const auto before = generation(mounts.a);
  for (int round = 0; round < 10; ++round) {
    mounts.a.client->break_connection_for_test();
    loop.drive(std::chrono::milliseconds(round));
  }
  EXPECT_EQ(generation(mounts.a), before);
  EXPECT_EQ(mounts.take(mounts.b, TokenUse::kWrite), TokenMode::kExclusive);
  EXPECT_EQ(generation(mounts.a), 0U);
}

TEST(LockClientTokens, ALostSessionTakesEverything) {
  InProcessLockd lockd({.lease_ttl = 1s, .adjust = {}});
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  ASSERT_EQ(mounts.take(mounts.a, TokenUse::kWrite), TokenMode::kExclusive);
  lockd.kill();
  lockd.forget();
  lockd.start();
  loop.until([&] { return !mounts.a.heard.empty(); });
  EXPECT_EQ(mounts.a.heard.front(), "tokens lost") << "there were no locks";
  EXPECT_EQ(generation(mounts.a), 0U);
  loop.run(mounts.a.client->wait_entitled());
  EXPECT_EQ(mounts.take(mounts.a, TokenUse::kWrite), TokenMode::kExclusive) << "anew";
}

TEST(LockClientTokens, SuspendedItServesNothingAndThenGoesOnUnderTheSame) {
  LockdProcess lockd({"--lease-ttl", "2"});
  DrivenLoop loop;
  Pair mounts(loop, lockd.address());
  ASSERT_EQ(mounts.take(mounts.a, TokenUse::kWrite), TokenMode::kExclusive);
  const auto before = generation(mounts.a);
  EXPECT_GT(mounts.a.client->entitled_for(), Duration::zero());
  lockd.signal(SIGSTOP);
  loop.until([&] { return !mounts.a.client->entitled(); });
  EXPECT_EQ(mounts.a.client->entitled_for(), Duration::zero());
  EXPECT_FALSE(mounts.a.client->try_pin(kFile, TokenUse::kRead, Urgency::kKernelWaits));
  auto waits = mounts.pin(mounts.a, TokenUse::kRead);
  loop.drive(100ms);
  EXPECT_FALSE(DrivenLoop::ready(waits));
  lockd.signal(SIGCONT);
  EXPECT_TRUE(loop.finish(std::move(waits)));
  mounts.a.client->unpin(kFile);
  EXPECT_EQ(generation(mounts.a), before) << "nobody had wanted it";
}

}  // namespace
}  // namespace holdfast
