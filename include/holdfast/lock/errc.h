#pragma once
/// Errors of the lock service. Each maps to the errno an application sees
/// (default_error_condition).

#include <boost/system/error_code.hpp>

namespace holdfast {

enum class LockErrc {
  kWouldBlock = 1,   ///< EAGAIN: held by somebody else, or somebody waits who came first.
  kDeadlock,         ///< EDEADLK: waiting would close a cycle of POSIX owners.
  kInterrupted,      ///< EINTR: the wait was cancelled.
  kTooManyRanges,    ///< ENOLCK: as many ranges as the file, or the session, may have.
  kTooManyWaiters,   ///< ENOLCK: the same of waiters.
  kTooManyFiles,     ///< ENOLCK: files of the coordinator, or tokens of the session.
  kTooManyRequests,  ///< EAGAIN: requests_in_flight_max of the session reached; a client's bug or
                     ///< abuse.
  kTooManySessions,  ///< EUSERS: of the coordinator, or of the volume.
  kSessionLost,  ///< EIO: the session ended (expired, fenced, or lockd forgot it); its locks are
                 ///< gone.
  kBadSecret,    ///< EACCES: resume with a wrong secret, or of another volume.
  kWalOwnedElsewhere,  ///< EAGAIN: another node uses this database's wal-index.
  kBadRequest,         ///< EINVAL: the request contradicts the protocol.
  kVersionMismatch,    ///< EPROTONOSUPPORT: no common protocol version.
  kStarting,           ///< EAGAIN: lockd is not ready for this session yet; ask again later.
  kLockLost,           ///< EIO: the session's locks on this file were given away.
  kStandby,            ///< EAGAIN: this lockd is not the active one; try another address.
  kStaleLockd,    ///< EIO: this lockd remembers less than its clients do (an old store); serves
                  ///< nobody.
  kAccessDenied,  ///< EACCES: no credential, an unknown one, or not for this volume. Says nothing
                  ///< of the session, which may be resumed with a right one.
};

[[nodiscard]] const boost::system::error_category& lock_category();
[[nodiscard]] inline boost::system::error_code make_error_code(LockErrc errc) {
  return {static_cast<int>(errc), lock_category()};
}

}  // namespace holdfast

template <>
struct boost::system::is_error_code_enum<holdfast::LockErrc> : std::true_type {};
