#pragma once
/// Tests with a directory as storage need openat2(2): in Linux since 5.6, not in every emulator
/// (qemu-user, tools/cross).

#include <cerrno>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace holdfast::test {

/// With nothing to open: EINVAL where it is known.
inline bool has_openat2() {
  return ::syscall(SYS_openat2, -1, nullptr, nullptr, 0) == -1 && errno != ENOSYS;
}

}  // namespace holdfast::test

/// In SetUp().
#define HOLDFAST_NEEDS_OPENAT2() \
  if (!::holdfast::test::has_openat2()) GTEST_SKIP() << "no openat2(2): NOTHING WAS TESTED"
