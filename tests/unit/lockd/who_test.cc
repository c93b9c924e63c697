// Who has a lock, as the coordinator tells.
#include "tests/unit/lockd/driver.h"

namespace holdfast::lockd::test {
namespace {

LockRequest lock_of(FileKey file, OwnerId owner, LockMode mode, std::uint32_t pid) {
  LockRequest request;
  request.file = file;
  request.owner = owner;
  request.mode = mode;
  request.wait = Wait::kYes;
  request.pid = pid;
  return request;
}

TEST(Who, ShowsTheFileInTheAskersVolumeOnly) {
  Driver lockd;
  const SessionId one = lockd.open(1);
  const SessionId two = lockd.open(1);
  const SessionId stranger = lockd.open(2);
  ASSERT_TRUE(lockd.ask(one, lock_of(kFile, kA, kX, 42)));
  ASSERT_TRUE(lockd.ask(one, lock_of(kOther, kA, kX, 42)));
  lockd.pass(3s);
  lockd.send(two, lock_of(kFile, kB, kX, 43));
  ASSERT_TRUE(lockd.ask(stranger, lock_of(kFile, kC, kX, 44)));
  const auto answer = lockd.core.who(two, kFile.fileid, lockd.now());
  ASSERT_TRUE(answer);
  ASSERT_EQ(answer->locks.size(), 2U);
  EXPECT_EQ(answer->locks[0].pid, 42U);
  EXPECT_EQ(answer->locks[0].age, 3s);
  EXPECT_EQ(answer->locks[1].pid, 43U);
  EXPECT_EQ(answer->locks[1].state, LockState::kWaiting);
  EXPECT_EQ(answer->mounts.size(), 2U) << "what others do is not theirs to know";
  const auto foreign = lockd.core.who(stranger, kFile.fileid, lockd.now());
  ASSERT_TRUE(foreign);
  ASSERT_EQ(foreign->locks.size(), 1U);
  EXPECT_EQ(foreign->locks[0].pid, 44U);
  EXPECT_EQ(lockd.core.who(std::nullopt, kFile.fileid, lockd.now())->locks.size(), 3U)
      << "an administrator sees all";
  EXPECT_FALSE(lockd.core.who(SessionId{99}, kFile.fileid, lockd.now()));
}

TEST(Who, SaysWhoDecidesLocksItself) {
  Driver lockd;
  const SessionId one = lockd.open();
  const SessionId two = lockd.open();
  ASSERT_TRUE(lockd.ask(one, TokenRequest{kFile, TokenUse::kWrite}));
  const auto answer = lockd.core.who(two, kFile.fileid, lockd.now());
  ASSERT_TRUE(answer);
  EXPECT_TRUE(answer->locks.empty());
  for (const WhoMount& mount : answer->mounts) {
    const bool holder = mount.session.session == one;
    EXPECT_EQ(mount.token, holder ? TokenMode::kExclusive : TokenMode::kNone);
  }
  EXPECT_TRUE(lockd.recalls.empty()) << "asking moves no token";
}

}  // namespace
}  // namespace holdfast::lockd::test
