#pragma once
/// Command line and configuration file of holdfast-lockd.

#include "holdfast/base/log.h"
#include "lockd/server/server.h"

#include <optional>

namespace holdfast::lockd {

inline constexpr const char* kDefaultAdminPath = "/run/holdfast/lockd.sock";

// Exit codes, documented in --help.
inline constexpr int kExitClean = 0;
inline constexpr int kExitStart = 1;
inline constexpr int kExitUsage = 2;

struct Settings {
  ServerOptions server;
  log::Options log;
};

/// Either settings, or the exit code after --help, --version or an error, which was printed.
struct Parsed {
  std::optional<Settings> settings;
  int exit_code = kExitClean;
};
[[nodiscard]] Parsed parse_command_line(int argc, const char* const* argv);

}  // namespace holdfast::lockd
