#pragma once
/// `holdfast who PATH`: which processes have a file locked, and who waits behind whom; on any node
/// that has the mount. The mount is asked through its own socket (cli/mount/control.h), asks lockd,
/// and lockd the other mounts. No token moves.

#include <chrono>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace holdfast::cli {

struct WhoOptions {
  std::string path;
  bool json = false;
  std::chrono::milliseconds look{5'000};          ///< at most, for the file itself
  std::chrono::milliseconds look_in_vain{1'000};  ///< the same if its mount is known not to serve
  /// Where mounts have their sockets; empty: as published_directories().
  std::vector<std::string> directories;
};

// Exit codes besides 0; 2 is wrong usage.
inline constexpr int kWhoUnreachable =
    1;  ///< no such file, no Holdfast mount, or it does not answer

[[nodiscard]] int run_who(const WhoOptions& options, std::ostream& out, std::ostream& errors);

void register_who(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
