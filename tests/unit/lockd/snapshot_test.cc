// What the status page is told: right, and bounded whatever there is.
#include "tests/unit/lockd/driver.h"

namespace holdfast::lockd::test {
namespace {

LockRequest exclusive(OwnerId owner, ByteRange range) {
  return lock(owner, kX, range, Wait::kYes);
}

TEST(Snapshot, TellsWhoWaitsForWhom) {
  Driver lockd;
  const auto holder = lockd.open();
  const auto waiter = lockd.open();
  lockd.ask(holder, exclusive(kA, byte(1)));
  lockd.pass(2s);
  EXPECT_FALSE(lockd.ask(waiter, exclusive(kB, byte(1))));
  lockd.pass(1s);
  EXPECT_FALSE(lockd.ask(waiter, exclusive(kC, byte(1))));

  const Snapshot shown = lockd.core.snapshot({}, lockd.now());
  EXPECT_EQ(shown.held, 1u);
  EXPECT_EQ(shown.waiting, 2u);
  EXPECT_EQ(shown.files, 1u);
  EXPECT_EQ(shown.sessions.size(), 2u);
  EXPECT_EQ(shown.oldest_lock, 3s);
  EXPECT_EQ(shown.oldest_wait, 1s);
  EXPECT_TRUE(shown.looked_at_all);
  ASSERT_EQ(shown.waits.size(), 2u);
  EXPECT_EQ(shown.waits[0].wait.owner, kB) << "who waits longest comes first";
  ASSERT_EQ(shown.waits[0].blockers.size(), 1u);
  EXPECT_EQ(shown.waits[0].blockers[0].owner, kA);
  EXPECT_EQ(shown.waits[0].blockers[0].session, holder);
  EXPECT_EQ(shown.waits[0].blockers[0].state, LockState::kHeld);
  ASSERT_EQ(shown.locks.size(), 1u);
  EXPECT_EQ(shown.locks[0].owner, kA);
}

TEST(Snapshot, WhoOnlyWaitsForHisTurnStandsBehindTheEarlierWaiter) {
  Driver lockd;
  const auto session = lockd.open();
  lockd.ask(session, exclusive(kA, byte(1)));
  lockd.ask(session, exclusive(kB, bytes(1, 3)));
  lockd.ask(session, exclusive(kC, byte(2)));  // free, but somebody came earlier
  const Snapshot shown = lockd.core.snapshot({}, lockd.now());
  ASSERT_EQ(shown.waits.size(), 2u);
  ASSERT_EQ(shown.waits[1].blockers.size(), 1u);
  EXPECT_EQ(shown.waits[1].blockers[0].owner, kB);
  EXPECT_EQ(shown.waits[1].blockers[0].state, LockState::kWaiting);
}

TEST(Snapshot, CountsEverythingAndListsTheFirst) {
  Driver lockd;
  const auto session = lockd.open();
  lockd.open();
  for (std::uint64_t i = 0; i < 50; ++i)
    lockd.ask(session, exclusive(kA, byte(2 * i)));
  for (std::uint64_t i = 0; i < 5; ++i)
    lockd.ask(session, exclusive(OwnerId{100 + i}, byte(0)));
  const SnapshotLimits limits{
      .sessions_max = 1, .waits_max = 2, .blockers_max = 1, .locks_max = 3, .looks_max = 10};
  const Snapshot shown = lockd.core.snapshot(limits, lockd.now());
  EXPECT_EQ(shown.held, 50u);
  EXPECT_EQ(shown.waiting, 5u);
  EXPECT_EQ(shown.sessions.size(), 1u);
  EXPECT_TRUE(shown.sessions_cut);
  EXPECT_EQ(shown.waits.size(), 2u);
  EXPECT_TRUE(shown.waits_cut);
  EXPECT_EQ(shown.locks.size(), 3u);
  EXPECT_TRUE(shown.locks_cut);
  EXPECT_FALSE(shown.looked_at_all);
}

TEST(Snapshot, KnowsTheLeaseThatEndsFirst) {
  Driver lockd(real_options());
  EXPECT_EQ(lockd.core.snapshot({}, lockd.now()).lease_left_min, 10s) << "nobody's";
  const auto early = lockd.open();
  lockd.pass(3s);
  lockd.open();
  EXPECT_EQ(lockd.core.snapshot({}, lockd.now()).lease_left_min, 7s);
  lockd.renew(early);
  EXPECT_EQ(lockd.core.snapshot({}, lockd.now()).lease_left_min, 10s);
  lockd.pass(11s);
  const Snapshot gone = lockd.core.snapshot({}, lockd.now());
  EXPECT_EQ(gone.sessions_by_phase[static_cast<std::size_t>(SessionPhase::kLive)], 0u);
}

TEST(Snapshot, WaitsAreTimed) {
  Driver lockd;
  const auto session = lockd.open();
  lockd.ask(session, exclusive(kA, byte(1)));
  lockd.ask(session, exclusive(kB, byte(1)));
  lockd.pass(3s);
  lockd.ask(session, unlock(kA, byte(1)));
  const Histogram& waits = lockd.core.probe().lock_waits;
  EXPECT_EQ(waits.count(), 1u);
  EXPECT_EQ(waits.sum, 3s);
  EXPECT_EQ(waits.buckets[Histogram::bucket_of(3s)], 1u);
}

}  // namespace
}  // namespace holdfast::lockd::test
