#include "holdfast/lock/errc.h"

#include "holdfast/base/result.h"

#include <boost/asio/error.hpp>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

struct Row {
  LockErrc errc;
  int number;
};

TEST(LockErrc, EveryErrorHasItsErrno) {
  // Every enumerator stands here; a new one must choose its errno.
  const Row rows[] = {
      {LockErrc::kWouldBlock, EAGAIN},
      {LockErrc::kDeadlock, EDEADLK},
      {LockErrc::kInterrupted, EINTR},
      {LockErrc::kTooManyRanges, ENOLCK},
      {LockErrc::kTooManyWaiters, ENOLCK},
      {LockErrc::kTooManyFiles, ENOLCK},
      {LockErrc::kTooManyRequests, EAGAIN},
      {LockErrc::kTooManySessions, EUSERS},
      {LockErrc::kSessionLost, EIO},
      {LockErrc::kBadSecret, EACCES},
      {LockErrc::kWalOwnedElsewhere, EAGAIN},
      {LockErrc::kBadRequest, EINVAL},
      {LockErrc::kVersionMismatch, EPROTONOSUPPORT},
      {LockErrc::kStarting, EAGAIN},
      {LockErrc::kLockLost, EIO},
      {LockErrc::kStandby, EAGAIN},
      {LockErrc::kStaleLockd, EIO},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(to_errno(row.errc), row.number) << make_error_code(row.errc).message();
    EXPECT_NE(make_error_code(row.errc).message(), "unknown lock error");
  }
}

TEST(ToErrno, UnknownCategoriesBecomeEio) {
  EXPECT_EQ(to_errno(boost::asio::error::host_not_found), EIO);
  EXPECT_EQ(to_errno(errno_code(ENOSPC)), ENOSPC);
  EXPECT_EQ(to_errno(ErrorCode{}), 0);
}

}  // namespace
}  // namespace holdfast
