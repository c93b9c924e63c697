#pragma once
/// Command line and configuration file of holdfast-lockd.

#include "holdfast/base/log.h"
#include "holdfast/wire/tls.h"
#include "lockd/server/server.h"
#include "lockd/status/service.h"
#include "lockd/store/etcd/location.h"

#include <functional>
#include <optional>
#include <string>

namespace holdfast::lockd {

inline constexpr const char* kDefaultAdminPath = "/run/holdfast-lockd/lockd.sock";
inline constexpr const char* kDefaultStore = "/var/lib/holdfast/lockd.db";
/// No stable storage: tests, and trials on one node.
inline constexpr const char* kMemoryStore = "memory:";

// Exit codes, documented in --help.
inline constexpr int kExitClean = 0;
inline constexpr int kExitStart = 1;
inline constexpr int kExitUsage = 2;

struct Settings {
  ServerOptions server;
  log::Options log;
  std::string store = kDefaultStore;  ///< a path, kMemoryStore, or what `etcd` was made of
  std::optional<EtcdOptions> etcd;    ///< without its secrets: they are in `etcd_access`
  EtcdAccess etcd_access;
  std::optional<status::StatusOptions> status;
  wire::TlsFiles tls;       ///< without a certificate: plain text
  std::string access_path;  ///< of the access list; empty: none
  /// Create the store as one that knows that there is nothing to know, and exit.
  bool new_volume = false;
};

/// Settings, or a command to run instead, or the exit code after --help or a printed error.
struct Parsed {
  std::optional<Settings> settings;
  std::function<int()> command{};
  int exit_code = kExitClean;
};
[[nodiscard]] Parsed parse_command_line(int argc, const char* const* argv);

}  // namespace holdfast::lockd
