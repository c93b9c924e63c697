#include "tests/unit/lockd/driver.h"

namespace holdfast::lockd::test {
namespace {

constexpr std::uint64_t kPending = 0x40000000;
const ByteRange kSharedRange = bytes(kPending + 2, kPending + 512);

struct Wal : testing::Test {
  Driver d;
  SessionId one = d.open();
  SessionId two = d.open();

  std::optional<Outcome> open_database(SessionId session, OwnerId owner = kA) {
    return d.ask(session, lock(owner, kS, kSharedRange));
  }
  std::optional<Outcome> claim(SessionId session) { return d.ask(session, ClaimWalRequest{kFile}); }
  std::optional<Outcome> lock_shm(SessionId session, OwnerId owner = kA) {
    return d.ask(session, shm(owner));
  }
  static LockRequest shm(OwnerId owner, LockMode mode = kS, Wait wait = Wait::kNo) {
    LockRequest request = lock(owner, mode, byte(128), wait, kShm);
    request.wal_database = kFile;
    return request;
  }
  bool owned() {
    for (const auto& info : d.core.list_locks(d.now(), 100).locks)
      if (info.state == LockState::kWalOwner) return true;
    return false;
  }
};

TEST_F(Wal, WhileOneOwnsItOthersAreRefusedAtTheDatabase) {
  open_database(one);
  EXPECT_TRUE(done(claim(one)));
  EXPECT_TRUE(done(claim(one))) << "idempotent";
  EXPECT_TRUE(refused(open_database(two), LockErrc::kWalOwnedElsewhere));
  EXPECT_TRUE(
      refused(d.ask(two, lock(kA, kS, byte(kPending), Wait::kYes)), LockErrc::kWalOwnedElsewhere))
      << "never queued";
  EXPECT_TRUE(
      refused(d.ask(two, lock(kA, kS, ByteRange::whole_file())), LockErrc::kWalOwnedElsewhere));
  EXPECT_TRUE(refused(claim(two), LockErrc::kWalOwnedElsewhere));
  EXPECT_TRUE(refused(lock_shm(two), LockErrc::kWalOwnedElsewhere));
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kS, byte(0))))) << "other bytes are free";
  EXPECT_TRUE(done(d.ask(two, unlock(kA, kSharedRange))));
  EXPECT_TRUE(granted(open_database(one, kB))) << "any process of the owner";
  EXPECT_TRUE(granted(lock_shm(one)));
}

TEST_F(Wal, ALockOnShmClaims) {
  open_database(one);
  EXPECT_TRUE(granted(lock_shm(one)));
  EXPECT_TRUE(owned());
  EXPECT_TRUE(refused(open_database(two), LockErrc::kWalOwnedElsewhere));
}

TEST_F(Wal, AClaimWithoutALockOnTheDatabaseIsABadRequest) {
  EXPECT_TRUE(refused(claim(one), LockErrc::kBadRequest));
  d.ask(one, lock(kA, kS, byte(0)));
  EXPECT_TRUE(refused(claim(one), LockErrc::kBadRequest));
  EXPECT_FALSE(owned());
}

TEST_F(Wal, OwnershipEndsWithTheLastLock) {
  open_database(one);
  lock_shm(one);
  d.ask(one, unlock(kA, kSharedRange));
  EXPECT_TRUE(owned()) << "the shm is still locked";
  d.ask(one, unlock(kA, byte(128), kShm));
  EXPECT_FALSE(owned());
  EXPECT_TRUE(granted(open_database(two)));
  EXPECT_TRUE(granted(lock_shm(two)));
}

TEST_F(Wal, OwnershipEndsWithReleaseOfOwnerOrHandle) {
  open_database(one);
  claim(one);
  d.ask(one, ReleaseOwnerRequest{kFile, kA});
  EXPECT_FALSE(owned());
  open_database(one);
  lock_shm(one);
  d.ask(one, ReleaseHandleRequest{kFile, HandleId{kA.value}});
  EXPECT_TRUE(owned());
  d.ask(one, ReleaseHandleRequest{kShm, HandleId{kA.value}});
  EXPECT_FALSE(owned());
}

TEST_F(Wal, OwnershipEndsWithTheSession) {
  open_database(one);
  lock_shm(one);
  d.goodbye(one);
  EXPECT_FALSE(owned());
  open_database(two);
  EXPECT_TRUE(done(claim(two)));
  d.pass(11s);
  EXPECT_FALSE(owned());
}

TEST_F(Wal, AClaimSucceedsOverOlderSharedLocksOfOthers) {
  open_database(one);
  open_database(two);
  EXPECT_TRUE(done(claim(one)));
  EXPECT_TRUE(refused(claim(two), LockErrc::kWalOwnedElsewhere));
  EXPECT_TRUE(done(d.ask(two, unlock(kA, kSharedRange))));
  EXPECT_TRUE(owned());
}

TEST_F(Wal, WaitersOfOthersAreRefusedWhenAClaimIsMade) {
  open_database(one);
  const auto w = d.send(two, lock(kA, kX, kSharedRange, Wait::kYes));
  const auto elsewhere = d.send(two, lock(kB, kX, byte(0), Wait::kYes));
  EXPECT_TRUE(granted(d.answer(two, elsewhere)));
  EXPECT_TRUE(done(claim(one)));
  EXPECT_TRUE(refused(d.answer(two, w), LockErrc::kWalOwnedElsewhere));
}

TEST_F(Wal, WaitersForAShmAreRefusedWhenAnotherSessionClaims) {
  d.ask(one, lock(kC, kX, byte(128), Wait::kNo, kShm));  // not tied: no claim
  const auto w = d.send(two, shm(kA, kS, Wait::kYes));
  EXPECT_FALSE(d.answer(two, w));
  open_database(one);
  EXPECT_TRUE(done(claim(one)));
  EXPECT_TRUE(refused(d.answer(two, w), LockErrc::kWalOwnedElsewhere));
}

TEST_F(Wal, AQueryShowsTheOwnerToOthersOnly) {
  open_database(one);
  claim(one);
  const auto reserved = byte(kPending + 1);
  const auto shown = conflict(d.ask(two, query(kA, kX, reserved)));
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->mode, kX);
  EXPECT_FALSE(shown->same_session);
  EXPECT_FALSE(conflict(d.ask(one, query(kB, kX, reserved))));
  EXPECT_FALSE(conflict(d.ask(two, query(kA, kX, byte(0)))));
}

TEST_F(Wal, ListingNamesTheOwner) {
  open_database(one);
  claim(one);
  d.advance_clock(3s);
  const auto info = d.core.list_locks(d.now(), 100).locks.front();
  EXPECT_EQ(info.state, LockState::kWalOwner);
  EXPECT_EQ(info.session, one);
  EXPECT_EQ(info.node, "node");
  EXPECT_EQ(info.file, kFile);
  EXPECT_EQ(info.age, 3s);
}

TEST_F(Wal, AShmBelongsToOneDatabase) {
  open_database(one);
  lock_shm(one);
  LockRequest other = shm(kB);
  other.wal_database = kOther;
  EXPECT_TRUE(refused(d.ask(one, other), LockErrc::kBadRequest));
  LockRequest itself = shm(kB);
  itself.wal_database = kShm;
  EXPECT_TRUE(refused(d.ask(one, itself), LockErrc::kBadRequest));
}

TEST_F(Wal, ListingIsCutAtTheLimit) {
  for (std::uint64_t i = 0; i < 10; ++i)
    d.ask(one, lock(kA, kX, byte(2 * i)));
  const auto cut = d.core.list_locks(d.now(), 4);
  EXPECT_EQ(cut.locks.size(), 4U);
  EXPECT_TRUE(cut.truncated);
  EXPECT_FALSE(d.core.list_locks(d.now(), 10).truncated);
}

}  // namespace
}  // namespace holdfast::lockd::test
