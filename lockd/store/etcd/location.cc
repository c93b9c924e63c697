#include "lockd/store/etcd/location.h"

#include "holdfast/wire/address.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace holdfast::lockd {
namespace {

constexpr std::size_t kPrefixMax = 512;

boost::system::result<std::string, wire::StartFailure> contents_of(const std::string& path,
                                                                   const char* option) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || text.str().empty()) {
    const int number = errno != 0 ? errno : EINVAL;
    return wire::StartFailure{
        .code = errno_code(number),
        .what = fmt::format("{} {}: {}", option, path,
                            errno != 0 ? std::strerror(number) : "it is empty"),
        .hint =
            "etcd cannot be reached without it: give the path of a file that this user can "
            "read"};
  }
  return text.str();
}

}  // namespace

boost::system::result<EtcdLocation, std::string> parse_etcd(std::string_view text) {
  EtcdLocation out;
  out.text = text;
  if (!text.starts_with(kEtcdScheme)) return std::string("it does not begin with etcd://");
  text.remove_prefix(kEtcdScheme.size());
  const auto slash = std::min(text.find('/'), text.size());
  std::string_view hosts = text.substr(0, slash);
  const std::string_view path = text.substr(slash);
  while (!hosts.empty()) {
    const auto comma = std::min(hosts.find(','), hosts.size());
    const std::string_view one = hosts.substr(0, comma);
    hosts.remove_prefix(std::min(comma + 1, hosts.size()));
    const auto address = wire::parse_address(one);
    if (!address) return address.error().what;
    const auto* tcp = std::get_if<wire::TcpAddress>(&*address);
    const bool has_port = tcp != nullptr && one.ends_with(fmt::format(":{}", tcp->port));
    if (!has_port) return fmt::format("'{}': write HOST:PORT (etcd listens on 2379)", one);
    out.endpoints.emplace_back(one);
  }
  if (out.endpoints.empty()) return std::string("no HOST:PORT in it");
  if (path.size() > 1) {
    out.prefix = path;
    if (!out.prefix.ends_with('/')) out.prefix += '/';
  }
  if (out.prefix.size() > kPrefixMax) return std::string("the prefix is too long");
  return out;
}

boost::system::result<EtcdSecrets, wire::StartFailure> read_secrets(const EtcdAccess& access) {
  EtcdSecrets out;
  out.user = access.user;
  const struct {
    const std::string& path;
    const char* option;
    std::string& into;
  } files[] = {{access.ca, "--etcd-ca", out.ca},
               {access.cert, "--etcd-cert", out.cert},
               {access.key, "--etcd-key", out.key},
               {access.password_file, "--etcd-password-file", out.password}};
  for (const auto& one : files) {
    if (one.path.empty()) continue;
    auto text = contents_of(one.path, one.option);
    if (!text) return text.error();
    one.into = *std::move(text);
  }
  out.password = out.password.substr(0, out.password.find_first_of("\r\n"));
  return out;
}

}  // namespace holdfast::lockd
