#pragma once
/// HOLDFAST_ASSERT guards what only our own code can break; it stays on in release builds and
/// aborts the process. Input from the kernel, the network, NFS or an operator is never asserted.

namespace holdfast::base {
[[noreturn]] void assert_failed(const char* expression, const char* why, const char* file,
                                int line);
}

#define HOLDFAST_ASSERT(cond, why) \
  ((cond) ? static_cast<void>(0) : ::holdfast::base::assert_failed(#cond, why, __FILE__, __LINE__))
