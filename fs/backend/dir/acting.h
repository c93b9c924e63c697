#pragma once
/// Makes this thread act as a caller for the length of a scope.
///
/// Thread: any; changes only the calling thread (the raw system calls, not glibc's process-wide
/// wrappers: nptl(7), "NPTL and the POSIX threads standard"). No co_await inside the scope.

#include "fs/backend/types.h"

#include <sys/types.h>

namespace holdfast::fs::dir {

/// What this process may do, read once.
struct Privilege {
  bool root = false;  ///< effective uid 0: may take on other identities
  static Privilege current();
};

class Acting {
 public:
  /// Does nothing without privilege, or for root itself.
  Acting(const Privilege& privilege, const Credentials& who);
  ~Acting();
  Acting(const Acting&) = delete;
  Acting& operator=(const Acting&) = delete;

 private:
  bool changed_ = false;
};

/// Creation modes are final: the application's umask was applied by its own kernel.
class NoUmask {
 public:
  NoUmask();
  ~NoUmask();
  NoUmask(const NoUmask&) = delete;
  NoUmask& operator=(const NoUmask&) = delete;

 private:
  mode_t saved_;
};

}  // namespace holdfast::fs::dir
