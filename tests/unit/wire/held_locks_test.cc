#include "fs/lock/held_locks.h"

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

constexpr FileKey kFile{.fileid = 1, .handle_hash = 1};
constexpr OwnerId kOwner{7};

ByteRange range(std::uint64_t start, std::uint64_t end) {
  return *ByteRange::make(start, end);
}

Command lock(LockMode mode, ByteRange where, HandleId handle = {1}) {
  LockRequest request;
  request.file = kFile;
  request.owner = kOwner;
  request.mode = mode;
  request.range = where;
  request.handle = handle;
  return request;
}

std::vector<HeldLocks::Piece> all(const HeldLocks& held) {
  return held.within(kFile, LockSpace::kRange, kOwner, ByteRange::whole_file());
}

TEST(HeldLocks, AConversionInTheMiddleSplits) {
  HeldLocks held;
  held.apply(lock(LockMode::kShared, range(0, 100)));
  held.apply(lock(LockMode::kExclusive, range(40, 60), {2}));
  const std::vector<HeldLocks::Piece> expected{{range(0, 40), LockMode::kShared, {1}},
                                               {range(40, 60), LockMode::kExclusive, {2}},
                                               {range(60, 100), LockMode::kShared, {1}}};
  EXPECT_EQ(all(held), expected);
}

TEST(HeldLocks, UnlockCutsAndWithinIsCutToTheRange) {
  HeldLocks held;
  held.apply(lock(LockMode::kShared, range(0, 100)));
  held.apply(UnlockRequest{kFile, LockSpace::kRange, kOwner, range(10, 20)});
  const auto inside = held.within(kFile, LockSpace::kRange, kOwner, range(5, 30));
  ASSERT_EQ(inside.size(), 2u);
  EXPECT_EQ(inside[0].range, range(5, 10));
  EXPECT_EQ(inside[1].range, range(20, 30));
}

TEST(HeldLocks, ReleasesFreeByOwnerAndByHandle) {
  HeldLocks held;
  held.apply(lock(LockMode::kShared, range(0, 10), {1}));
  held.apply(lock(LockMode::kShared, range(20, 30), {2}));
  held.apply(ReleaseHandleRequest{kFile, {1}});
  ASSERT_EQ(all(held).size(), 1u);
  EXPECT_EQ(all(held)[0].handle, HandleId{2});
  held.apply(ReleaseOwnerRequest{kFile, kOwner});
  EXPECT_TRUE(all(held).empty());
}

TEST(HeldLocks, DoubtOutlivesARelease) {
  HeldLocks held;
  held.mark_uncertain(kFile, LockSpace::kRange, kOwner);
  held.apply(ReleaseOwnerRequest{kFile, kOwner});
  EXPECT_TRUE(held.uncertain(kFile, LockSpace::kRange, kOwner));
  EXPECT_FALSE(held.uncertain(kFile, LockSpace::kFlock, kOwner));
}

TEST(HeldLocks, AFlockConversionThatHadToWaitLosesTheOldLock) {
  LockRequest flock;
  flock.file = kFile;
  flock.space = LockSpace::kFlock;
  flock.owner = kOwner;
  flock.mode = LockMode::kShared;
  const auto held_now = [&](const HeldLocks& held) {
    return held.within(kFile, LockSpace::kFlock, kOwner, ByteRange::whole_file()).size();
  };
  for (const LockErrc errc : {LockErrc::kWouldBlock, LockErrc::kInterrupted}) {
    HeldLocks held;
    held.apply(flock);
    flock.mode = LockMode::kExclusive;
    held.refused(flock, LockErrc::kTooManyWaiters);
    EXPECT_EQ(held_now(held), 1u) << "refused before anything was given up";
    held.refused(flock, errc);
    EXPECT_EQ(held_now(held), 0u);
  }
}

TEST(HeldLocks, ARefusedRangeLockTakesNothing) {
  HeldLocks held;
  held.apply(lock(LockMode::kShared, range(0, 100)));
  held.refused(std::get<LockRequest>(lock(LockMode::kExclusive, range(0, 100))),
               LockErrc::kWouldBlock);
  EXPECT_EQ(all(held).size(), 1u);
}

}  // namespace
}  // namespace holdfast::fs
