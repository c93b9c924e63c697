#include "holdfast/base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace holdfast::base {

void assert_failed(const char* expression, const char* why, const char* file, int line) {
  // Not through the logger: the invariant that broke may be its own.
  std::fprintf(stderr, "%s:%d: assertion failed: %s: %s\n", file, line, expression, why);
  std::fflush(stderr);
  std::abort();
}

}  // namespace holdfast::base
