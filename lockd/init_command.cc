#include "lockd/init_command.h"

#include "lockd/access/access_list.h"
#include "lockd/access/certificates.h"
#include "lockd/new_file.h"
#include "lockd/settings.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <unistd.h>

namespace holdfast::lockd {
namespace {

namespace stdfs = std::filesystem;

struct Wishes {
  std::string directory = kDefaultTlsDirectory;
  std::string nodes = "/etc/holdfast";
  std::string config = "/etc/holdfast/lockd.conf";
  std::vector<std::string> names;
  std::vector<std::string> volumes{"*"};
};

struct File {
  std::string path;
  std::string text;
};

int fail(const std::string& what, const std::string& hint) {
  std::cerr << "holdfast-lockd init: " << what << '\n';
  if (!hint.empty()) std::cerr << "hint: " << hint << '\n';
  return kExitStart;
}

std::string host_name() {
  char name[256] = "";
  ::gethostname(name, sizeof name - 1);
  return name;
}

// Every name and number by which a mount may know this machine.
std::vector<std::string> hosts_of(const Wishes& wishes) {
  std::vector<std::string> out = wishes.names;
  out.push_back(host_name());
  out.insert(out.end(), {"localhost", "127.0.0.1", "::1"});
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return out;
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> all(first, &::freeifaddrs);
  for (const ifaddrs* one = first; one != nullptr; one = one->ifa_next) {
    char text[INET6_ADDRSTRLEN] = "";
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    if (one->ifa_addr->sa_family == AF_INET) {
      const auto* v4 = reinterpret_cast<const sockaddr_in*>(one->ifa_addr);
      ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<const sockaddr_in6*>(one->ifa_addr);
      if (!IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr))
        ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    }
    if (text[0] != '\0') out.emplace_back(text);
  }
  std::vector<std::string> once;
  for (std::string& host : out)
    if (std::find(once.begin(), once.end(), host) == once.end()) once.push_back(std::move(host));
  return once;
}

std::string config_text(const std::string& directory) {
  return fmt::format(
      "# Written by 'holdfast-lockd init'. All keys: holdfast-lockd(8).\n"
      "tls-cert={0}/lockd.pem\n"
      "tls-key={0}/lockd.key\n"
      "tls-ca={0}/ca.pem\n"
      "access={0}/access\n",
      directory);
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words)
    out += (out.empty() ? "" : ", ") + word;
  return out;
}

void explain(const Wishes& wishes, const std::vector<std::string>& hosts, bool wrote_config) {
  const std::string machine = wishes.names.empty() ? host_name() : wishes.names.front();
  std::cout << fmt::format(
      "Made a certificate authority, a certificate for this lockd, and a first token.\n"
      "  {0}/  lockd's own: never leaves this machine\n"
      "  {1}/ca.pem  for every node: whom to believe\n"
      "  {1}/token  for every node: a secret; whoever has it may use {2}\n"
      "Mounts reach this lockd as: {3}.\n"
      "Not among them? Remove what was made and say --name.\n\n",
      wishes.directory, wishes.nodes,
      wishes.volumes.front() == "*" ? "every volume" : "these volumes", joined(hosts));
  if (wrote_config) {
    std::cout << fmt::format("Wrote {}.\n", wishes.config);
  } else {
    std::cout << fmt::format("{} was there already. It must say:\n{}", wishes.config,
                             config_text(wishes.directory));
  }
  std::cout << fmt::format(
      "\nNow, here:\n"
      "  systemctl enable --now holdfast-lockd     or: holdfast-lockd --config {0}\n"
      "and on every node:\n"
      "  install -d /etc/holdfast\n"
      "  scp root@{1}:{2}/{{ca.pem,token}} /etc/holdfast/\n"
      "  holdfast mount nas:/export /mnt -o lockd={1}\n",
      wishes.config, machine, wishes.nodes);
}

int init(const Wishes& wishes) {
  const std::vector<std::string> hosts = hosts_of(wishes);
  const std::string token = make_token();
  AccessList access;
  Credential first;
  first.name = "first";
  first.hash = hash_of(token);
  for (const std::string& volume : wishes.volumes)
    if (const auto wrong = parse_volumes(volume, first); !wrong.empty())
      return fail("--volume " + volume + ": " + wrong, "");
  if (const auto wrong = access.add(std::move(first)); !wrong.empty()) return fail(wrong, "");
  const CertifiedKey authority = make_authority("Holdfast of " + host_name());
  const CertifiedKey lockd =
      make_certificate(authority, {.common_name = "holdfast-lockd", .hosts = hosts});
  const std::string& dir = wishes.directory;
  const std::vector<File> files{
      {dir + "/ca.pem", authority.certificate}, {dir + "/ca.key", authority.key},
      {dir + "/lockd.pem", lockd.certificate},  {dir + "/lockd.key", lockd.key},
      {dir + "/access", access.text()},         {wishes.nodes + "/ca.pem", authority.certificate},
      {wishes.nodes + "/token", token + "\n"}};
  for (const File& file : files) {
    if (stdfs::exists(file.path))
      return fail(file.path + " is there already; nothing was written",
                  "nodes rely on what is there: move it away first if you mean it. A further "
                  "token: holdfast-lockd access add");
  }
  if (const auto made = make_directory(dir, 0700); !made)
    return fail(dir + ": " + made.error().message(), "");
  if (const auto made = make_directory(wishes.nodes, 0755); !made)
    return fail(wishes.nodes + ": " + made.error().message(), "");
  for (const File& file : files) {
    if (const auto written = write_new_file(file.path, file.text); !written)
      return fail(file.path + ": " + written.error().message(),
                  "remove what has been written before you try again");
  }
  const bool write_config = !stdfs::exists(wishes.config);
  if (write_config) {
    if (const auto written = write_new_file(wishes.config, config_text(dir)); !written)
      return fail(wishes.config + ": " + written.error().message(), "");
    // No secret in it, and lockd's user reads it.
    std::error_code ignored;
    stdfs::permissions(wishes.config, stdfs::perms(0644), ignored);
  }
  explain(wishes, hosts, write_config);
  return kExitClean;
}

}  // namespace

void register_init(CLI::App& app, std::function<int()>& command) {
  const auto wishes = std::make_shared<Wishes>();
  CLI::App* init_app = app.add_subcommand(
      "init", "Make a small CA, a certificate for this lockd, a first token and a configuration");
  init_app->configurable(false);
  init_app->add_option("--name", wishes->names,
                       "Name or number by which mounts reach this lockd, besides this machine's "
                       "own; repeatable. Replicas: all of theirs");
  init_app
      ->add_option("--volume", wishes->volumes,
                   "What the first token is good for: a volume's id; repeatable. *: all")
      ->capture_default_str();
  init_app->add_option("--dir", wishes->directory, "Where lockd's own files are made")
      ->capture_default_str();
  init_app->add_option("--nodes", wishes->nodes, "Where ca.pem and token for the nodes are made")
      ->capture_default_str();
  init_app->add_option("--config", wishes->config, "Configuration to make, unless it is there")
      ->capture_default_str();
  init_app->footer("Never overwrites anything. Exit codes: 0 made, 1 not made, 2 wrong usage.");
  init_app->callback([wishes, &command] {
    command = [wishes] {
      try {
        return init(*wishes);
      } catch (const std::exception& error) {
        return fail(error.what(), "");
      }
    };
  });
}

}  // namespace holdfast::lockd
