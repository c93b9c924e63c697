#include "deploy/csi/settings.h"

#include "deploy/csi/keeper/protocol.h"

#include <iostream>
#include <map>
#include <string>

#include <CLI/CLI.hpp>

namespace holdfast::csi {
namespace {

struct Words {
  std::string endpoint;
  std::string node_id;
  std::string mode = "all";
  std::string keeper = kKeeperSocket;
  std::string lockd;
  double probe_max = 5;
  std::string log_format = "text";
  std::string log_level = "info";
};

void describe(CLI::App& app, Words& words) {
  app.set_version_flag("--version", std::string("holdfast-csi ") + HOLDFAST_VERSION);
  app.add_option("--endpoint", words.endpoint,
                 "Socket for Kubernetes: unix:///PATH or a path; default: $CSI_ENDPOINT")
      ->envname("CSI_ENDPOINT")
      ->required();
  app.add_option("--node-id", words.node_id, "Kubernetes' name of this node; not for a controller");
  app.add_option("--mode", words.mode,
                 "controller: makes and removes volumes; node: mounts them here; all: both")
      ->check(CLI::IsMember({"controller", "node", "all"}))
      ->capture_default_str();
  app.add_option("--lockd", words.lockd,
                 "HOST[:PORT][/HOST[:PORT]...] of holdfast-lockd, for volumes whose StorageClass "
                 "names none");
  app.add_option("--keeper", words.keeper, "Socket of holdfast-csi-keeper, which starts the mounts")
      ->capture_default_str();
  app.add_option("--probe-max", words.probe_max,
                 "Seconds after which a mount that does not answer is reported as hanging")
      ->check(CLI::Range(0.1, 60.0))
      ->capture_default_str();
  app.add_option("--log-format", words.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--log-level", words.log_level, "trace, debug, info, warn or error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str();
  app.footer(
      "Exit codes: 0 stopped by SIGTERM or SIGINT (mounts go on), 1 cannot start, 2 wrong usage.");
}

/// "unix:///path", "unix:/path", "unix://path", "/path".
std::string path_of(std::string endpoint) {
  for (const std::string scheme : {"unix://", "unix:"}) {
    if (endpoint.starts_with(scheme)) {
      endpoint.erase(0, scheme.size());
      break;
    }
  }
  return endpoint;
}

Parsed refuse(const std::string& why) {
  std::cerr << "holdfast-csi: " << why << '\n';
  return {std::nullopt, kExitUsage};
}

log::Options log_options(const Words& words) {
  static const std::map<std::string, log::Level> kLevels{{"trace", log::Level::kTrace},
                                                         {"debug", log::Level::kDebug},
                                                         {"info", log::Level::kInfo},
                                                         {"warn", log::Level::kWarn},
                                                         {"error", log::Level::kError}};
  return {.level = kLevels.at(words.log_level),
          .format = words.log_format == "json" ? log::Format::kJson : log::Format::kText};
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
  Words words;
  CLI::App app("CSI driver csi.holdfast.io", "holdfast-csi");
  describe(app, words);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error) == 0 ? kExitClean : kExitUsage};
  }
  static const std::map<std::string, Role> kRoles{
      {"controller", Role::kController}, {"node", Role::kNode}, {"all", Role::kAll}};
  Settings out;
  out.role = kRoles.at(words.mode);
  out.socket_path = path_of(words.endpoint);
  if (!out.socket_path.starts_with('/'))
    return refuse("--endpoint: only unix sockets with an absolute path: " + words.endpoint);
  out.endpoint = "unix:" + out.socket_path;
  out.node_id = words.node_id;
  if (out.node_id.empty() && out.role != Role::kController)
    return refuse("--node-id is missing: the name of this node in Kubernetes");
  out.node.keeper_socket = words.keeper;
  out.node.lockd = words.lockd;
  out.node.probe_max = std::chrono::milliseconds(static_cast<int>(words.probe_max * 1000));
  out.log = log_options(words);
  return {std::move(out), kExitClean};
}

}  // namespace holdfast::csi
