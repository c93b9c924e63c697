#pragma once
/// holdfast unmount: take a mount out of the tree and wait until its process has ended.

#include <chrono>
#include <string>

namespace holdfast::cli {

struct UnmountArguments {
  std::string mountpoint;
  bool lazy = false;  ///< at once, open files go on until closed; the end is not waited for
  std::chrono::seconds wait{60};
};

/// Returns an exit code; failures are printed.
[[nodiscard]] int unmount(const UnmountArguments& arguments);

}  // namespace holdfast::cli
