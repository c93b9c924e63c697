#include "lockd/settings.h"

#include "lockd/access_command.h"
#include "lockd/init_command.h"
#include "lockd/limit_option.h"

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace holdfast::lockd {
namespace {

constexpr std::uint32_t kLeaseTtlMin = 1;
constexpr std::uint32_t kLeaseTtlMax = 3600;
// One in the middle of a TLS handshake takes some 50 KiB.
constexpr std::size_t kStrangersWithTls = 1024;

struct Texts {
  std::vector<std::string> listen{"0.0.0.0:7680", "[::]:7680"};
  std::string admin = kDefaultAdminPath;
  std::string store = kDefaultStore;
  bool new_volume = false;
  double lease_ttl = 10;
  double storage_delay = 2;
  double courtesy_max = 24 * 3600;
  double ask_again_max = 4;
  std::string fence;
  std::vector<std::string> fence_command;
  double fence_timeout = 30;
  double leader_ttl = 3;
  double etcd_compact = 3600;
  EtcdAccess etcd;
  std::string status;
  std::vector<std::string> status_names;
  wire::TlsFiles tls;
  std::string access;
  bool allow_plain = false;
  std::vector<std::string> limits;
  std::string log_format = "text";
  std::string log_level = "info";
};

void describe_fencing(CLI::App& app, Texts& texts) {
  app.add_option("--fence", texts.fence,
                 "How a mount that lost its lease is kept from writing before its locks are given "
                 "away; the first step that succeeds is enough: wait-out (until nothing it has "
                 "sent can arrive any more), command, or both with a comma. Default: wait-out; "
                 "with --fence-command: command,wait-out");
  app.add_option("--fence-command", texts.fence_command,
                 "Program that fences a mount, and its arguments: repeat the option for each. "
                 "{address} {session} {volume} {volume_name} {node} stand for the mount's. Exit "
                 "status 0 = it cannot write any more")
      ->allow_extra_args(false);
  app.add_option("--fence-timeout", texts.fence_timeout,
                 "Seconds until the fence command is killed and counts as failed")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  app.add_option("--storage-delay", texts.storage_delay,
                 "Seconds a write that has reached the NFS server's host may wait there before it "
                 "takes effect; part of wait-out")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app.add_option("--courtesy-max", texts.courtesy_max,
                 "Seconds a silent mount keeps locks that nobody else wants")
      ->check(CLI::Range(0.0, 365.0 * 86400))
      ->capture_default_str();
}

void describe_replicas(CLI::App& app, Texts& texts) {
  app.add_option("--leader-ttl", texts.leader_ttl,
                 "etcd: seconds after which a standby takes over from an active lockd that is "
                 "silent (1 to 60); it stops acting before")
      ->check(CLI::Range(1.0, 60.0))
      ->capture_default_str();
  app.add_option("--etcd-ca", texts.etcd.ca,
                 "etcd over TLS: certificate (PEM) of who signed etcd's");
  app.add_option("--etcd-cert", texts.etcd.cert, "Our own certificate (PEM), if etcd asks for one");
  app.add_option("--etcd-key", texts.etcd.key, "Its key (PEM)");
  app.add_option("--etcd-user", texts.etcd.user, "User, where etcd's authentication is on");
  app.add_option("--etcd-password-file", texts.etcd.password_file,
                 "File whose first line is the user's password");
  app.add_option("--etcd-compact", texts.etcd_compact,
                 "etcd: every so many seconds the active lockd has it forget old versions of all "
                 "keys; 0: never, something else does")
      ->check(CLI::Range(0.0, 30.0 * 86400))
      ->capture_default_str();
}

void describe_status(CLI::App& app, Texts& texts) {
  app.add_option("--status", texts.status,
                 "Serves the status page, and /metrics for Prometheus, at this NUMBER:PORT: read "
                 "only, for whoever reaches it. Usual: 127.0.0.1:7681. Default: none");
  app.add_option("--status-name", texts.status_names,
                 "Name of this host by which the status page may be asked for, beside its numbers "
                 "and 'localhost'; repeatable")
      ->allow_extra_args(false);
}

void describe_access(CLI::App& app, Texts& texts) {
  app.add_option("--tls-cert", texts.tls.certificate,
                 "Speak TLS 1.3 on TCP addresses, with this certificate (PEM). 'holdfast-lockd "
                 "init' makes one");
  app.add_option("--tls-key", texts.tls.key, "Its key (PEM)");
  app.add_option("--tls-ca", texts.tls.ca,
                 "Certificate (PEM) of who signs clients' certificates; without it only tokens "
                 "are taken");
  app.add_option(
      "--access", texts.access,
      "List of who may use which volumes: see 'holdfast-lockd access'. SIGHUP: read "
      "it and the certificates again. With it a volume has a share only of what lockd has: "
      "2000 of 10000 sessions, 250000 of a million files with locks, a quarter of the "
      "tokens");
  app.add_option("--limit", texts.limits,
                 "NAME=NUMBER: sets one of the limits that keep one mount, or one volume, from "
                 "using up what all need; repeatable. A refused request names its limit, here and "
                 "in the mount's log. Names and defaults: holdfast-lockd(8), LIMITS. A restart "
                 "with a limit below what a mount holds takes the rest from it")
      ->allow_extra_args(false);
  app.add_flag("--allow-plain", texts.allow_plain,
               "Take mounts from every address without TLS and without a credential too: whoever "
               "reaches the port may take any lock, and the network sees and may change all that "
               "is said. Without it plain text is for unix sockets and loopback");
}

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
  app.add_option("--store", texts.store,
                 "Remembers sessions over a restart: a file on a local disk, or "
                 "etcd://HOST:PORT[,HOST:PORT...][/PREFIX], shared by several lockds of which one "
                 "is active. memory: = none, for trials: a restart takes all locks from their "
                 "holders")
      ->capture_default_str();
  app.add_option("--ask-again-max", texts.ask_again_max,
                 "Seconds for which a mount that shares a file is told at most to wait until it "
                 "asks for it alone again")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  app.add_flag("--new-volume", texts.new_volume,
               "Create the store and exit. States that no mount has used any lockd with these "
               "volumes for the last hour: the first start then serves at once, where it would "
               "wait a lease and a fence. Refused if the store exists");
  app.add_option("--log-format", texts.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_option("--log-level", texts.log_level, "trace, debug, info, warn or error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str();
  describe_access(app, texts);
  describe_fencing(app, texts);
  describe_replicas(app, texts);
  describe_status(app, texts);
  app.set_config("--config", "", "File of lines key=value, the keys being the options above");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.footer(
      "Exit codes: 0 stopped by SIGTERM or SIGINT, 1 cannot start, 2 wrong usage.\n"
      "A clean stop releases nothing: mounts keep their leases and come back.\n"
      "The same after a kill: the store knows the mounts, and they tell what they hold.\n"
      "SIGHUP reads certificates and the access list again; no session ends by it.");
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

// What is wrong, or nothing.
std::string take_fencing(const Texts& texts, ServerOptions& server) {
  server.fence_command.argv = texts.fence_command;
  server.fence_command.time_max = seconds(texts.fence_timeout);
  const bool has_command = !texts.fence_command.empty();
  std::string steps = texts.fence;
  if (steps.empty()) steps = has_command ? "command,wait-out" : "wait-out";
  std::vector<FenceStep>& fence = server.coordinator.fence;
  fence.clear();
  std::istringstream words(steps);
  for (std::string word; std::getline(words, word, ',');) {
    if (word != "wait-out" && word != "command") return "--fence: unknown step '" + word + "'";
    const auto step = word == "command" ? FenceStep::kCommand : FenceStep::kWaitOut;
    if (std::find(fence.begin(), fence.end(), step) != fence.end()) {
      return "--fence: '" + word + "' twice";
    }
    fence.push_back(step);
  }
  const bool runs = std::find(fence.begin(), fence.end(), FenceStep::kCommand) != fence.end();
  if (runs && !has_command) return "--fence: 'command' needs --fence-command";
  if (!runs && has_command) return "--fence-command: --fence does not name 'command'";
  if (runs) {
    const std::string wrong = fence_command_error(texts.fence_command);
    if (!wrong.empty()) return "--fence-command: " + wrong;
  }
  return {};
}

// What is wrong, or nothing.
std::string take_store(const Texts& texts, Settings& settings) {
  settings.store = texts.store;
  settings.new_volume = texts.new_volume;
  const EtcdAccess& etcd = texts.etcd;
  if (etcd.cert.empty() != etcd.key.empty()) return "--etcd-cert and --etcd-key go together";
  if (etcd.ca.empty() && !etcd.cert.empty()) return "--etcd-cert: needs --etcd-ca";
  if (etcd.user.empty() != etcd.password_file.empty()) {
    return "--etcd-user and --etcd-password-file go together";
  }
  if (texts.store.starts_with(kEtcdScheme)) {
    auto location = parse_etcd(texts.store);
    if (!location) return "--store " + texts.store + ": " + location.error();
    settings.etcd.emplace();
    settings.etcd->location = *std::move(location);
    settings.etcd->leader_ttl = seconds(texts.leader_ttl);
    settings.etcd->compact_every = std::chrono::seconds(static_cast<long>(texts.etcd_compact));
    settings.etcd_access = etcd;
    return {};
  }
  if (!etcd.ca.empty() || !etcd.user.empty()) return "--etcd-...: --store does not name an etcd";
  if (texts.store != kMemoryStore && !texts.store.starts_with('/')) {
    return "--store: '" + texts.store + "' is no absolute path";
  }
  return {};
}

// What is wrong, or nothing.
std::string take_status(const Texts& texts, Settings& settings) {
  if (texts.status.empty())
    return texts.status_names.empty() ? "" : "--status-name: needs --status";
  const auto address = wire::parse_address(texts.status);
  if (!address) return "--status: " + address.error().what;
  const auto* tcp = std::get_if<wire::TcpAddress>(&*address);
  const bool says_port = texts.status.ends_with(":" + (tcp ? std::to_string(tcp->port) : ""));
  if (tcp == nullptr || !says_port) return "--status: give NUMBER:PORT, for example 127.0.0.1:7681";
  settings.status =
      status::StatusOptions{.address = tcp->host, .port = tcp->port, .names = texts.status_names};
  return {};
}

// What is wrong, or nothing.
std::string take_access(const Texts& texts, Settings& settings) {
  ServerOptions& server = settings.server;
  settings.tls = texts.tls;
  settings.access_path = texts.access;
  const bool tls = !texts.tls.certificate.empty();
  if (tls == texts.tls.key.empty()) return "--tls-cert and --tls-key go together";
  if (!tls && !texts.tls.ca.empty()) return "--tls-ca: needs --tls-cert";
  if (tls && texts.access.empty())
    return "--tls-cert: needs --access, the list of who may use which volumes";
  if (tls) server.strangers_max = kStrangersWithTls;
  Limits& limits = server.coordinator.limits;
  if (!texts.access.empty()) share_among_volumes(limits);
  if (const std::string wrong = take_limits(texts.limits, limits); !wrong.empty()) return wrong;
  if (texts.allow_plain) server.plain_text = PlainText::kEverywhere;
  if (tls || texts.allow_plain || texts.new_volume) return {};
  for (const wire::Address& address : server.listen) {
    if (wire::stays_here(address)) continue;
    return "--listen " + wire::to_string(address) +
           ": not without TLS, whoever reaches the port could take any lock.\n"
           "hint: 'holdfast-lockd init' makes certificates, a token and a configuration; or listen "
           "on 127.0.0.1; or, in a network you trust wholly, --allow-plain";
  }
  return {};
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
  CLI::App app{"holdfast-lockd: the coordinator of Holdfast mounts. Owns the truth about locks.",
               "holdfast-lockd"};
  Texts texts;
  describe_options(app, texts);
  std::function<int()> command;
  register_init(app, command);
  register_access(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);  // prints help, version, or what is wrong
    return {.settings = std::nullopt, .exit_code = code == 0 ? kExitClean : kExitUsage};
  }
  if (command) return {.settings = std::nullopt, .command = std::move(command)};
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
  for (const auto take : {take_access, take_store, take_status}) {
    const std::string wrong = take(texts, settings);
    if (wrong.empty()) continue;
    std::cerr << "holdfast-lockd: " << wrong << '\n';
    return {.settings = std::nullopt, .exit_code = kExitUsage};
  }
  server.coordinator.lease_ttl = seconds(texts.lease_ttl);
  server.coordinator.storage_delay = seconds(texts.storage_delay);
  server.coordinator.courtesy_max = seconds(texts.courtesy_max);
  ContentionOptions& contention = server.coordinator.tokens.contention;
  contention.ask_again_max = seconds(texts.ask_again_max);
  contention.ask_again_first = std::min(contention.ask_again_first, contention.ask_again_max);
  if (const std::string wrong = take_fencing(texts, server); !wrong.empty()) {
    std::cerr << "holdfast-lockd: " << wrong << '\n';
    return {.settings = std::nullopt, .exit_code = kExitUsage};
  }
  return {.settings = std::move(settings), .exit_code = kExitClean};
}

}  // namespace holdfast::lockd
