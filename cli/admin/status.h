#pragma once
/// `holdfast status` and `holdfast top`: how the mounts of this node are, from what they publish
/// (fs/state, fs/counters). Asks no mount: works while one hangs.

#include <chrono>
#include <iosfwd>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace holdfast::cli {

struct StatusOptions {
  std::string path;  ///< only the mount over this path; empty: all
  bool json = false;
  bool once = false;                          ///< top: one look
  std::chrono::milliseconds interval{1'000};  ///< top: between two looks
};

// Exit codes; 2 is wrong usage.
inline constexpr int kStatusServing = 0;
inline constexpr int kStatusNotServing = 1;  ///< of at least one mount
inline constexpr int kStatusNoMount = 3;     ///< none here, or none over the path

[[nodiscard]] int run_status(const StatusOptions& options, std::ostream& out, std::ostream& errors);
[[nodiscard]] int run_top(const StatusOptions& options, std::ostream& out, std::ostream& errors);

void register_status(CLI::App& app, int& exit_code);
void register_top(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
