#include "lockd/settings.h"

#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace holdfast::lockd {
namespace {

constexpr std::uint32_t kLeaseTtlMin = 1;
constexpr std::uint32_t kLeaseTtlMax = 3600;

struct Texts {
  std::vector<std::string> listen{"0.0.0.0:7680", "[::]:7680"};
  std::string admin = kDefaultAdminPath;
  double lease_ttl = 10;
  double startup_wait = -1;
  std::string log_format = "text";
  std::string log_level = "info";
};

void describe_options(CLI::App& app, Texts& texts) {
  app.set_version_flag("--version", std::string("holdfast-lockd ") + HOLDFAST_VERSION);
  app.add_option("--listen", texts.listen,
                 "Address for mounts: HOST:PORT, [IPV6]:PORT or unix:/PATH; repeatable. Port 0: "
                 "any free port, see the line lockd.started in the log")
      ->capture_default_str();
  app.add_option("--admin", texts.admin,
                 "Socket for 'holdfast locks' and 'holdfast sessions', mode 0600; empty: none")
      ->capture_default_str();
  app.add_option("--lease-ttl", texts.lease_ttl,
                 "Seconds a silent mount keeps its locks (1 to 3600)")
      ->check(CLI::Range(double{kLeaseTtlMin}, double{kLeaseTtlMax}))
      ->capture_default_str();
  app.add_option("--startup-wait", texts.startup_wait,
                 "Seconds before the first mount is welcomed; default: the lease TTL, because "
                 "leases of a former run may last that long. 0 only if there was none")
      ->check(CLI::Range(0.0, double{kLeaseTtlMax}));
  app.add_option("--log-format", texts.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--log-level", texts.log_level, "trace, debug, info, warn or error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str();
  app.set_config("--config", "", "File of lines key=value, the keys being the options above");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(
      "Exit codes: 0 stopped by SIGTERM or SIGINT, 1 cannot start, 2 wrong usage.\n"
      "A clean stop releases nothing: mounts keep their leases and come back.\n"
      "There is no TLS yet: keep the port inside a network you trust.");
}

log::Options log_options(const Texts& texts) {
  static const std::map<std::string, log::Level> kLevels{{"trace", log::Level::kTrace},
                                                         {"debug", log::Level::kDebug},
                                                         {"info", log::Level::kInfo},
                                                         {"warn", log::Level::kWarn},
                                                         {"error", log::Level::kError}};
  return {.level = kLevels.at(texts.log_level),
          .format = texts.log_format == "json" ? log::Format::kJson : log::Format::kText};
}

std::chrono::milliseconds seconds(double value) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(value * 1000));
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
  CLI::App app{"holdfast-lockd: the coordinator of Holdfast mounts. Owns the truth about locks.",
               "holdfast-lockd"};
  Texts texts;
  describe_options(app, texts);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);  // prints help, version, or what is wrong
    return {.settings = std::nullopt, .exit_code = code == 0 ? kExitClean : kExitUsage};
  }
  Settings settings;
  settings.log = log_options(texts);
  ServerOptions& server = settings.server;
  for (const std::string& text : texts.listen) {
    const auto address = wire::parse_address(text);
    if (!address) {
      std::cerr << "holdfast-lockd: --listen: " << address.error().what << '\n';
      return {.settings = std::nullopt, .exit_code = kExitUsage};
    }
    server.listen.push_back(*address);
  }
  server.skip_unsupported_families = app.count("--listen") == 0;
  if (!texts.admin.empty()) {
    const auto admin = wire::parse_address("unix:" + texts.admin);
    if (!admin) {
      std::cerr << "holdfast-lockd: --admin: " << admin.error().what << '\n';
      return {.settings = std::nullopt, .exit_code = kExitUsage};
    }
    server.admin_path = texts.admin;
  }
  server.coordinator.lease_ttl = seconds(texts.lease_ttl);
  server.former_life = texts.startup_wait != 0;
  return {.settings = std::move(settings), .exit_code = kExitClean};
}

}  // namespace holdfast::lockd
