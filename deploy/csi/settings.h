#pragma once
/// Command line of holdfast-csi.

#include "deploy/csi/node/volumes_on_node.h"
#include "holdfast/base/log.h"

#include <optional>
#include <string>

namespace holdfast::csi {

// Exit codes, documented in --help.
inline constexpr int kExitClean = 0;
inline constexpr int kExitStart = 1;
inline constexpr int kExitUsage = 2;

enum class Role { kController, kNode, kAll };

struct Settings {
  std::string endpoint;  ///< as gRPC wants it: "unix:/path"
  std::string socket_path;
  std::string node_id;
  Role role = Role::kAll;
  NodeOptions node;
  log::Options log;
};

/// Either settings, or the exit code after --help, --version or an error, which was printed.
struct Parsed {
  std::optional<Settings> settings;
  int exit_code = kExitClean;
};
[[nodiscard]] Parsed parse_command_line(int argc, const char* const* argv);

}  // namespace holdfast::csi
