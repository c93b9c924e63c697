#include "fs/lock/held_locks.h"

#include <array>
#include <random>

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
  const auto held_now = [&](const HeldLocks& held) {
    return held.within(kFile, LockSpace::kFlock, kOwner, ByteRange::whole_file()).size();
  };
  for (const LockErrc errc : {LockErrc::kWouldBlock, LockErrc::kInterrupted}) {
    HeldLocks held;
    flock.mode = LockMode::kShared;
    held.apply(flock);
    flock.mode = LockMode::kExclusive;
    held.refused(flock, LockErrc::kTooManyWaiters);
    EXPECT_EQ(held_now(held), 1u) << "refused before anything was given up";
    held.refused(flock, errc);
    EXPECT_EQ(held_now(held), 0u);
  }
}

TEST(HeldLocks, AFlockThatIsAskedForAgainGivesNothingUp) {
  LockRequest flock;
  flock.file = kFile;
  flock.space = LockSpace::kFlock;
  flock.owner = kOwner;
  flock.mode = LockMode::kShared;
  HeldLocks held;
  held.apply(flock);
  held.refused(flock, LockErrc::kInterrupted);
  EXPECT_FALSE(held.uncertain(kFile, LockSpace::kFlock, kOwner));
  EXPECT_EQ(held.within(kFile, LockSpace::kFlock, kOwner, ByteRange::whole_file()).size(), 1u);
}

TEST(HeldLocks, ARefusedRangeLockTakesNothing) {
  HeldLocks held;
  held.apply(lock(LockMode::kShared, range(0, 100)));
  held.refused(lock(LockMode::kExclusive, range(0, 100)), LockErrc::kWouldBlock);
  EXPECT_EQ(all(held).size(), 1u);
}

TEST(HeldLocks, TouchingPiecesThatAgreeAreOne) {
  HeldLocks held;
  held.apply(lock(LockMode::kShared, range(0, 10)));
  held.apply(lock(LockMode::kShared, range(20, 30)));
  held.apply(lock(LockMode::kShared, range(10, 20)));
  ASSERT_EQ(all(held).size(), 1u);
  EXPECT_EQ(all(held)[0].range, range(0, 30));
  held.apply(lock(LockMode::kShared, range(30, 40), {2}));
  EXPECT_EQ(all(held).size(), 2u) << "a release of one handle leaves the other's";
}

// Against an array of bytes, each with the mode and handle of its lock.
TEST(HeldLocks, EqualsAnArrayOfBytes) {
  constexpr std::uint64_t kSize = 24;
  struct Byte {
    int mode = -1;
    std::uint64_t handle = 0;
    bool operator==(const Byte&) const = default;
  };
  std::mt19937 random(1);
  const auto any = [&](std::uint64_t n) { return random() % n; };
  for (int run = 0; run < 200; ++run) {
    HeldLocks held;
    std::array<Byte, kSize> bytes{};
    for (int step = 0; step < 40; ++step) {
      const std::uint64_t start = any(kSize);
      const ByteRange where = range(start, start + 1 + any(kSize - start));
      const std::uint64_t handle = 1 + any(3);
      const auto mode = any(2) == 0 ? LockMode::kShared : LockMode::kExclusive;
      const auto what = any(10);
      for (std::uint64_t at = 0; at < kSize; ++at) {
        const bool inside = at >= where.start() && at < where.end();
        if (what < 6 && inside) bytes[at] = {static_cast<int>(mode), handle};
        if (what >= 6 && what < 8 && inside) bytes[at] = {};
        if (what == 8 && bytes[at].handle == handle) bytes[at] = {};
        if (what == 9 && inside && bytes[at].mode >= 0) bytes[at].mode = 0;
      }
      if (what < 6) held.apply(lock(mode, where, {handle}));
      if (what >= 6 && what < 8) {
        held.apply(UnlockRequest{kFile, LockSpace::kRange, kOwner, where});
      }
      if (what == 8) held.apply(ReleaseHandleRequest{kFile, {handle}});
      if (what == 9) {
        (void)held.weaken(std::get<LockRequest>(lock(LockMode::kShared, where, {handle})));
      }
      std::array<Byte, kSize> seen{};
      for (const auto& piece : all(held)) {
        for (std::uint64_t at = piece.range.start(); at < piece.range.end(); ++at) {
          ASSERT_EQ(seen[at].mode, -1) << "pieces never overlap";
          seen[at] = {static_cast<int>(piece.mode), piece.handle.value};
        }
      }
      ASSERT_EQ(seen, bytes);
      const bool nothing = bytes == std::array<Byte, kSize>{};
      ASSERT_EQ(held.empty(), nothing);
    }
  }
}

TEST(HeldLocks, ReclaimTellsEachLockOnceHoweverItIsCutUp) {
  HeldLocks held;
  std::size_t count = 0;
  for (std::uint64_t file = 1; file <= 5; ++file) {
    for (std::uint64_t owner = 1; owner <= 5; ++owner) {
      for (std::uint64_t at = 0; at < file * owner; ++at) {
        LockRequest request =
            std::get<LockRequest>(lock(LockMode::kShared, range(2 * at, 2 * at + 1)));
        request.file.fileid = file;
        request.owner = {owner};
        if (owner % 2 == 0) {
          request.space = LockSpace::kFlock;
          request.range = ByteRange::whole_file();
        }
        if (owner % 2 == 1 || at == 0) ++count;
        held.apply(request);
      }
    }
  }
  for (const std::size_t batch : {1u, 2u, 7u, 1000u}) {
    HeldLocks::Cursor cursor;
    HeldLocks told;
    std::size_t seen = 0;
    for (;;) {
      const auto locks = held.next(cursor, batch);
      if (locks.empty()) break;
      seen += locks.size();
      EXPECT_LE(locks.size(), batch);
    }
    EXPECT_EQ(seen, count);
  }
}

// Quadratic would be minutes, here and at the reclaim.
TEST(HeldLocks, ManyRangesOfOneOwner) {
  HeldLocks held;
  constexpr std::uint64_t kMany = 50'000;
  for (std::uint64_t at = 0; at < kMany; ++at)
    held.apply(lock(LockMode::kShared, range(2 * at, 2 * at + 1)));
  HeldLocks::Cursor cursor;
  std::size_t told = 0;
  for (;;) {
    const auto locks = held.next(cursor, 4096);
    if (locks.empty()) break;
    told += locks.size();
  }
  EXPECT_EQ(told, kMany);
  held.apply(ReleaseOwnerRequest{kFile, kOwner});
  EXPECT_TRUE(held.empty());
}

TEST(HeldLocks, ADatabaseAndItsWalIndexAreLostTogether) {
  HeldLocks held;
  const FileKey database{.fileid = 2, .handle_hash = 2};
  LockRequest shm = std::get<LockRequest>(lock(LockMode::kShared, range(120, 121)));
  shm.wal_database = database;
  held.apply(shm);
  const std::vector<FileKey> both{database, kFile};
  EXPECT_EQ(held.lost_with(kFile), both);
  EXPECT_EQ(held.lost_with(database), both);
  held.drop(database);
  held.drop(kFile);
  EXPECT_TRUE(held.empty());
}

}  // namespace
}  // namespace holdfast::fs
