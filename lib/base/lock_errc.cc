#include "holdfast/lock/errc.h"

#include <cerrno>
#include <string>

namespace holdfast {
namespace {

class LockCategory final : public boost::system::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "holdfast.lock"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<LockErrc>(value)) {
      case LockErrc::kWouldBlock:
        return "held by another owner";
      case LockErrc::kDeadlock:
        return "waiting would be a deadlock";
      case LockErrc::kInterrupted:
        return "the wait was interrupted";
      case LockErrc::kTooManyRanges:
        return "too many locked ranges, in this file or of this mount";
      case LockErrc::kTooManyWaiters:
        return "too many waiters, for this file or of this mount";
      case LockErrc::kTooManyFiles:
        return "too many files with locks or tokens, at lockd or of this mount";
      case LockErrc::kTooManyRequests:
        return "too many requests in flight of this mount";
      case LockErrc::kTooManySessions:
        return "too many sessions, at lockd or of this volume";
      case LockErrc::kSessionLost:
        return "the session ended; its locks are gone";
      case LockErrc::kBadSecret:
        return "this session belongs to somebody else";
      case LockErrc::kWalOwnedElsewhere:
        return "another node uses this database's wal-index";
      case LockErrc::kBadRequest:
        return "the request contradicts the protocol";
      case LockErrc::kVersionMismatch:
        return "no common protocol version";
      case LockErrc::kStarting:
        return "lockd is not ready for this session yet";
      case LockErrc::kLockLost:
        return "the locks on this file were given away while this mount was out of contact";
      case LockErrc::kStandby:
        return "this lockd is a standby";
      case LockErrc::kStaleLockd:
        return "this lockd remembers less than its mounts do";
      case LockErrc::kAccessDenied:
        return "this mount may not use this volume";
    }
    return "unknown lock error";
  }

  [[nodiscard]] boost::system::error_condition default_error_condition(
      int value) const noexcept override {
    const auto posix = [](int number) {
      return boost::system::error_condition(number, boost::system::generic_category());
    };
    switch (static_cast<LockErrc>(value)) {
      case LockErrc::kWouldBlock:
      case LockErrc::kTooManyRequests:
      case LockErrc::kWalOwnedElsewhere:
      case LockErrc::kStarting:
      case LockErrc::kStandby:
        return posix(EAGAIN);
      case LockErrc::kDeadlock:
        return posix(EDEADLK);
      case LockErrc::kInterrupted:
        return posix(EINTR);
      case LockErrc::kTooManyRanges:
      case LockErrc::kTooManyWaiters:
      case LockErrc::kTooManyFiles:
        return posix(ENOLCK);
      case LockErrc::kTooManySessions:
        return posix(EUSERS);
      case LockErrc::kSessionLost:
      case LockErrc::kLockLost:
      case LockErrc::kStaleLockd:
        return posix(EIO);
      case LockErrc::kBadSecret:
      case LockErrc::kAccessDenied:
        return posix(EACCES);
      case LockErrc::kBadRequest:
        return posix(EINVAL);
      case LockErrc::kVersionMismatch:
        return posix(EPROTONOSUPPORT);
    }
    return posix(EIO);
  }
};

}  // namespace

const boost::system::error_category& lock_category() {
  static const LockCategory category;
  return category;
}

}  // namespace holdfast
