#pragma once
/// What has to hold whatever the input is: libFuzzer keeps the input that makes us abort.

#include <cstdio>
#include <cstdlib>

namespace holdfast::csi::fuzz {

inline void must(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace holdfast::csi::fuzz
