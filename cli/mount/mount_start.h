#pragma once
/// holdfast mount: check what can be checked, then live in the background or here.

#include "cli/mount/failure.h"
#include "cli/mount/settings.h"

#include <string>
#include <vector>

namespace holdfast::cli {

struct MountArguments {
  std::string source;
  std::string mountpoint;
  std::vector<std::string> options;  ///< each as after -o
  UnknownOptions unknown = UnknownOptions::kRefuse;
  bool read_only = false;
  bool foreground = false;
  bool fake = false;  ///< check only
};

/// Returns an exit code; failures are printed. With `foreground` it returns when the mount has
/// ended, else when it works. Forks: no threads before.
[[nodiscard]] int start_mount(const MountArguments& arguments);

}  // namespace holdfast::cli
