#pragma once
/// Why a command failed, for whoever typed it: one line and what to do about it.

#include <string>

namespace holdfast::cli {

// Exit codes, those of mount(8).
inline constexpr int kExitOk = 0;
inline constexpr int kExitUsage = 1;
inline constexpr int kExitSystem = 2;
inline constexpr int kExitMount = 32;

struct Failure {
  int exit_code = kExitMount;
  std::string what;
  std::string hint;  ///< may be empty
};

}  // namespace holdfast::cli
