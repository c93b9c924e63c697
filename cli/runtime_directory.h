#pragma once
/// Where programs of one machine find its mounts: sockets, pid files, counters.
///
/// Thread: any.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// Ours: /run/holdfast, or the user's own.
[[nodiscard]] std::string runtime_directory();
/// Ours, and root's: where mounts that we can use may have published their counters.
[[nodiscard]] std::vector<std::string> published_directories();

/// The socket of the mount with that FUSE connection (the minor device number of the mount).
[[nodiscard]] std::string control_path(std::string_view directory, std::string_view connection);
/// AskWho with this in place of a file's number, to that socket: who of the mount's programs waits
/// for a lock, of any file? Answered from the mount's memory.
inline constexpr std::uint64_t kWaitsOfAllFiles = 0;

}  // namespace holdfast::cli
