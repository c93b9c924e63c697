#include "fs/core/derived_key.h"
#include "fs/core/errno_map.h"
#include "fs/core/hidden_name.h"
#include "fs/core/shm_file.h"
#include "fs/fuse/convert.h"
#include "holdfast/lock/errc.h"

#include <vector>

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

TEST(ShmFile, GrowsWithZerosAndReadsUpToItsEnd) {
  ShmFile file;
  const std::vector<std::uint8_t> data{1, 2, 3};
  ASSERT_TRUE(file.write(5, data));
  EXPECT_EQ(file.size(), 8U);
  const auto read = file.read(4, 100);
  EXPECT_EQ(std::vector<std::uint8_t>(read.begin(), read.end()),
            (std::vector<std::uint8_t>{0, 1, 2, 3}));
  EXPECT_TRUE(file.read(8, 1).empty());
}

TEST(ShmFile, BytesCutOffComeBackAsZeros) {
  ShmFile file;
  ASSERT_TRUE(file.write(0, std::vector<std::uint8_t>(100, 7)));
  ASSERT_TRUE(file.resize(3));
  ASSERT_TRUE(file.resize(10));
  EXPECT_EQ(file.read(2, 1)[0], 7);
  EXPECT_EQ(file.read(5, 1)[0], 0);
}

TEST(ShmFile, RefusesToGrowBeyondItsLimitAndStaysAsItWas) {
  ShmFile file;
  const std::vector<std::uint8_t> one{1};
  EXPECT_EQ(file.write(ShmFile::kSizeMax, one).error(), errno_code(EFBIG));
  EXPECT_EQ(file.write(~std::uint64_t{0}, one).error(), errno_code(EFBIG));
  EXPECT_EQ(file.resize(ShmFile::kSizeMax + 1).error(), errno_code(EFBIG));
  EXPECT_EQ(file.size(), 0U);
}

TEST(ErrnoMap, NeverAnswersENOSYSNorWhatOnlyTheKernelMayUse) {
  EXPECT_EQ(to_fuse_errno(errno_code(ENOSYS)), EOPNOTSUPP);
  EXPECT_EQ(to_fuse_errno(errno_code(512)), EIO);
  EXPECT_EQ(to_fuse_errno(errno_code(ECANCELED)), ENOTCONN);
  EXPECT_EQ(to_fuse_errno(errno_code(ENOSPC)), ENOSPC);
}

TEST(ErrnoMap, LockErrorsAreThoseOfFcntl) {
  EXPECT_EQ(to_fuse_errno(make_error_code(LockErrc::kWouldBlock)), EAGAIN);
  EXPECT_EQ(to_fuse_errno(make_error_code(LockErrc::kDeadlock)), EDEADLK);
  EXPECT_EQ(to_fuse_errno(make_error_code(LockErrc::kInterrupted)), EINTR);
  EXPECT_EQ(to_fuse_errno(make_error_code(LockErrc::kTooManyRanges)), ENOLCK);
  EXPECT_EQ(to_fuse_errno(make_error_code(LockErrc::kWalOwnedElsewhere)), EAGAIN);
  EXPECT_EQ(to_fuse_errno(make_error_code(LockErrc::kSessionLost)), EIO);
}

TEST(HiddenName, SillyNamesAreReadBackAsWritten) {
  const SillyName name{0x0123456789abcdefULL, 42};
  EXPECT_EQ(to_string(name), ".holdfast-silly-0123456789abcdef-000000000000002a");
  EXPECT_EQ(parse_silly_name(to_string(name)), name);
}

TEST(HiddenName, WhatOnlyLooksLikeOneIsHiddenButNotParsed) {
  for (const char* text : {".holdfast-silly-", ".holdfast-silly-1-2",
                           ".holdfast-silly-0123456789ABCDEF-000000000000002a",
                           ".holdfast-silly-0123456789abcdef-000000000000002a.bak"}) {
    EXPECT_TRUE(is_hidden(text)) << text;
    EXPECT_FALSE(parse_silly_name(text)) << text;
  }
  EXPECT_FALSE(is_hidden(".holdfast"));
}

TEST(HiddenName, AWalIndexNamesItsDatabase) {
  EXPECT_EQ(wal_index_database("a.db-shm"), "a.db");
  EXPECT_FALSE(wal_index_database("-shm"));
  EXPECT_FALSE(wal_index_database("a.db-shm2"));
}

TEST(DerivedKey, PurposesNeverShareAKey) {
  const FileKey file{1, 2};
  EXPECT_NE(derive(file, DerivedKey::kAppend), derive(file, DerivedKey::kWalIndex));
  EXPECT_NE(derive(file, DerivedKey::kAppend), file);
}

struct flock lock_of(off_t start, off_t length) {
  struct flock out {};
  out.l_start = start;
  out.l_len = length;
  return out;
}

TEST(Convert, LengthZeroMeansToTheEndForEver) {
  EXPECT_EQ(to_range(lock_of(5, 0)), ByteRange::make(5, ByteRange::kEnd));
  EXPECT_EQ(to_range(lock_of(5, 1)), ByteRange::make(5, 6));
  constexpr off_t kLast = 0x7fffffffffffffff;
  EXPECT_EQ(to_range(lock_of(kLast, 1)), ByteRange::make(kLast, ByteRange::kEnd));
  EXPECT_FALSE(to_range(lock_of(-1, 1)));
  EXPECT_FALSE(to_range(lock_of(kLast, 2)));
}

TEST(Convert, AForeignPidIsNotShown) {
  Conflict conflict{LockMode::kExclusive, *ByteRange::make(3, 7), 123, false};
  EXPECT_EQ(to_flock(conflict).l_pid, 0);
  conflict.same_session = true;
  const auto shown = to_flock(conflict);
  EXPECT_EQ(shown.l_pid, 123);
  EXPECT_EQ(shown.l_type, F_WRLCK);
  EXPECT_EQ(shown.l_start, 3);
  EXPECT_EQ(shown.l_len, 4);
  EXPECT_EQ(to_flock(std::nullopt).l_type, F_UNLCK);
}

TEST(Convert, NowWinsOverAGivenTime) {
  struct stat wanted {};
  wanted.st_mtim = {5, 6};
  const auto change = to_set_attributes(wanted, FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW);
  ASSERT_TRUE(change.mtime);
  EXPECT_TRUE(change.mtime->now);
  EXPECT_FALSE(change.size);
}

}  // namespace
}  // namespace holdfast::fs
