#include "tests/unit/lockd/driver.h"

namespace holdfast::lockd::test {
namespace {

struct RangeLocks : testing::Test {
  Driver d;
  SessionId one = d.open();
  SessionId two = d.open();

  std::optional<Conflict> seen(ByteRange range, LockMode mode = kX) {
    return conflict(d.ask(two, query(kB, mode, range)));
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> held() {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
    for (const auto& info : d.core.list_locks(d.now(), 1000).locks)
      if (info.state == LockState::kHeld) found.emplace_back(info.range.start(), info.range.end());
    return found;
  }
};
using Ranges = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

TEST_F(RangeLocks, ExclusiveKeepsEverybodyElseOut) {
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, bytes(10, 20)))));
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(19))), LockErrc::kWouldBlock));
  EXPECT_TRUE(refused(d.ask(one, lock(kB, kS, byte(10))), LockErrc::kWouldBlock));
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kX, byte(20)))));
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kX, byte(9)))));
}

TEST_F(RangeLocks, SharedAdmitsShared) {
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kS, bytes(0, 10)))));
  EXPECT_TRUE(granted(d.ask(two, lock(kA, kS, bytes(5, 15)))));
  EXPECT_TRUE(refused(d.ask(two, lock(kB, kX, byte(12))), LockErrc::kWouldBlock));
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(7))), LockErrc::kWouldBlock));
}

TEST_F(RangeLocks, SameOwnerNumberOfAnotherSessionIsAnotherOwner) {
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, byte(0)))));
  EXPECT_TRUE(refused(d.ask(two, lock(kA, kX, byte(0))), LockErrc::kWouldBlock));
}

TEST_F(RangeLocks, AnotherVolumeIsAnotherFile) {
  const SessionId far = d.open(2);
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, byte(0)))));
  EXPECT_TRUE(granted(d.ask(far, lock(kA, kX, byte(0)))));
}

TEST_F(RangeLocks, UnlockInTheMiddleSplitsTheRange) {
  d.ask(one, lock(kA, kX, bytes(0, 100)));
  EXPECT_TRUE(done(d.ask(one, unlock(kA, bytes(40, 60)))));
  EXPECT_EQ(held(), (Ranges{{0, 40}, {60, 100}}));
  EXPECT_FALSE(seen(bytes(40, 60)));
  EXPECT_TRUE(seen(byte(39)));
  EXPECT_TRUE(seen(byte(60)));
}

TEST_F(RangeLocks, TouchingRangesOfOneModeMerge) {
  d.ask(one, lock(kA, kX, bytes(0, 10)));
  d.ask(one, lock(kA, kX, bytes(20, 30)));
  d.ask(one, lock(kA, kX, bytes(10, 20)));
  EXPECT_EQ(held(), (Ranges{{0, 30}}));
}

TEST_F(RangeLocks, ConversionInTheMiddleLeavesThreeRanges) {
  d.ask(one, lock(kA, kS, bytes(0, 30)));
  d.ask(one, lock(kA, kX, bytes(10, 20)));
  EXPECT_EQ(held(), (Ranges{{0, 10}, {10, 20}, {20, 30}}));
  EXPECT_EQ(seen(byte(15), kS)->mode, kX);
  EXPECT_FALSE(seen(byte(5), kS));
  d.ask(one, lock(kA, kS, bytes(10, 20)));
  EXPECT_EQ(held(), (Ranges{{0, 30}}));
}

TEST_F(RangeLocks, UnlockOfWhatNobodyHoldsSucceeds) {
  EXPECT_TRUE(done(d.ask(one, unlock(kA, ByteRange::whole_file()))));
  d.ask(one, lock(kA, kX, byte(0)));
  EXPECT_TRUE(done(d.ask(one, unlock(kA, byte(5)))));
  EXPECT_TRUE(done(d.ask(two, unlock(kA, byte(0)))));
  EXPECT_TRUE(seen(byte(0)));
}

TEST_F(RangeLocks, TheLastLockableByteCanBeLocked) {
  EXPECT_TRUE(granted(d.ask(one, lock(kA, kX, bytes(ByteRange::kEnd - 1, ByteRange::kEnd)))));
  EXPECT_TRUE(refused(d.ask(two, lock(kB, kS, ByteRange::whole_file())), LockErrc::kWouldBlock));
}

TEST_F(RangeLocks, QueryShowsTheOwnerWhoCameFirstAndHisLowestRange) {
  d.ask(one, lock(kA, kS, byte(50)));
  d.ask(two, lock(kA, kS, byte(5)));
  d.ask(one, lock(kA, kS, byte(40)));
  const auto first = seen(bytes(0, 100));
  ASSERT_TRUE(first);
  EXPECT_EQ(first->range, byte(40));
  EXPECT_FALSE(first->same_session);
  const auto near = conflict(d.ask(one, query(kC, kX, bytes(45, 60))));
  EXPECT_EQ(near->range, byte(50));
  EXPECT_TRUE(near->same_session);
  EXPECT_EQ(near->pid, kA.value);
}

TEST_F(RangeLocks, QueryShowsOneLockWhereHandlesKeepRangesApart) {
  // Seen as a difference from Linux by the torture suite: a process locks [3, 8) through one
  // descriptor and [8, 20) through another; F_GETLK knows nothing of descriptors.
  d.ask(one, through(HandleId{1}, lock(kA, kX, bytes(3, 8))));
  d.ask(one, through(HandleId{2}, lock(kA, kX, bytes(8, 20))));
  d.ask(one, through(HandleId{2}, lock(kA, kS, bytes(20, 30))));
  EXPECT_EQ(seen(bytes(5, 6))->range, bytes(3, 20));
  EXPECT_EQ(seen(bytes(25, 26))->range, bytes(20, 30));
  EXPECT_EQ(held().size(), 3u);
}

TEST_F(RangeLocks, QueryIgnoresOwnLocks) {
  d.ask(one, lock(kA, kX, bytes(0, 10)));
  EXPECT_FALSE(conflict(d.ask(one, query(kA, kX, bytes(0, 10)))));
}

TEST_F(RangeLocks, ReleaseOwnerFreesItsRangesInThatFileOnly) {
  d.ask(one, lock(kA, kX, byte(0)));
  d.ask(one, lock(kA, kX, byte(2)));
  d.ask(one, lock(kB, kX, byte(4)));
  d.ask(one, lock(kA, kX, byte(0), Wait::kNo, kOther));
  d.ask(one, flock(kA, kX));
  EXPECT_TRUE(done(d.ask(one, ReleaseOwnerRequest{kFile, kA})));
  EXPECT_FALSE(seen(bytes(0, 4)));
  EXPECT_TRUE(seen(byte(4)));
  EXPECT_TRUE(conflict(d.ask(two, query(kB, kS, byte(0), kOther))));
  EXPECT_TRUE(refused(d.ask(two, flock(kB, kS)), LockErrc::kWouldBlock));
}

TEST_F(RangeLocks, ReleaseHandleFreesWhatWasLastSetThroughIt) {
  const HandleId h1{1}, h2{2};
  d.ask(one, through(h1, lock(kA, kX, bytes(0, 10))));
  d.ask(one, through(h2, lock(kA, kX, bytes(10, 20))));
  d.ask(one, through(h2, lock(kA, kX, bytes(4, 6))));
  EXPECT_EQ(held(), (Ranges{{0, 4}, {4, 6}, {6, 10}, {10, 20}}));
  EXPECT_TRUE(done(d.ask(one, ReleaseHandleRequest{kFile, h1})));
  EXPECT_EQ(held(), (Ranges{{4, 6}, {10, 20}}));
  EXPECT_TRUE(done(d.ask(one, ReleaseHandleRequest{kFile, h2})));
  EXPECT_EQ(held(), Ranges{});
}

TEST_F(RangeLocks, ReleaseHandleFreesEveryOwnerAndBothSpaces) {
  const HandleId h{1};
  d.ask(one, through(h, lock(kA, kX, byte(0))));
  d.ask(one, through(h, lock(kB, kX, byte(1))));
  d.ask(one, through(h, flock(kC, kX)));
  d.ask(two, through(h, lock(kA, kX, byte(2))));
  d.ask(one, ReleaseHandleRequest{kFile, h});
  EXPECT_EQ(held(), (Ranges{{2, 3}}));
}

TEST_F(RangeLocks, TokensGrowEvenIfTheFileWasForgotten) {
  const auto token = [&] { return std::get<Granted>(*d.ask(one, lock(kA, kX, byte(0)))).token; };
  const FencingToken first = token();
  d.ask(one, unlock(kA, byte(0)));
  EXPECT_LT(first, token());
}

}  // namespace
}  // namespace holdfast::lockd::test
