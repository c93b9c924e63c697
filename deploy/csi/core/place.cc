#include "deploy/csi/core/place.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>

namespace holdfast::csi {
namespace {

constexpr std::size_t kNameMax = 255;   // of one component, everywhere
constexpr std::size_t kPathMax = 1024;  // MNTPATHLEN of the MOUNT protocol, RFC 1813 section 5.1.2
constexpr std::string_view kReserved = ".holdfast";

Refusal bad(std::string what) {
  return {Code::kInvalidArgument, std::move(what)};
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

bool is_host(std::string_view text) {
  if (text.empty() || text.size() > 253 || text.front() == '-' || text.front() == '.') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  });
}

/// Shape only: whoever resolves it says the rest. A zone ("%eth0") would mean a node's own device.
bool is_ipv6(std::string_view text) {
  return text.size() <= 45 && text.find(':') != std::string_view::npos &&
         text.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

Answer<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0)
    return bad(fmt::format("server: \"{}\" is not a port", printable(std::string(text))));
  return port;
}

Answer<Share> parse_server(std::string_view text) {
  Share out;
  std::string_view port;
  if (text.starts_with('[')) {
    const auto close = std::min(text.find(']'), text.size());
    out.server = text.substr(1, close - 1);
    port = text.substr(std::min(close + 1, text.size()));
    if (!is_ipv6(out.server)) out.server.clear();
    if (!port.empty() && !port.starts_with(':')) out.server.clear();
  } else if (is_ipv6(text) && text.find(':') != text.rfind(':')) {
    out.server = text;
  } else {
    const auto colon = std::min(text.find(':'), text.size());
    out.server = text.substr(0, colon);
    port = text.substr(colon);
    if (!is_host(out.server)) out.server.clear();
  }
  if (out.server.empty())
    return bad(
        fmt::format("server: \"{}\" is not a host name or address", printable(std::string(text))));
  if (!port.empty()) {
    auto parsed = parse_port(port.substr(1));
    if (!parsed) return parsed.error();
    if (*parsed != 2049) out.port = *parsed;
  }
  return out;
}

/// "a//b/" is "a/b"; a name that leads elsewhere is an error.
Answer<std::string> normal(std::string_view text, std::string_view what) {
  if (text.size() > kPathMax || has_control(text))
    return bad(fmt::format("{}: longer than {} bytes, or with control characters", what, kPathMax));
  std::string out;
  while (!text.empty()) {
    const auto slash = std::min(text.find('/'), text.size());
    const auto name = text.substr(0, slash);
    text.remove_prefix(std::min(slash + 1, text.size()));
    if (name.empty()) continue;
    if (name == "." || name == "..")
      return bad(fmt::format("{}: \"{}\" leads out of the export, or nowhere", what, name));
    if (name.size() > kNameMax)
      return bad(fmt::format("{}: a name in it is longer than {} bytes", what, kNameMax));
    if (!out.empty()) out += '/';
    out += name;
  }
  return out;
}

}  // namespace

Answer<Share> parse_share(std::string_view server, std::string_view path) {
  if (server.empty()) return bad("server is missing: the NFS server's name or address");
  if (path.empty()) return bad("share is missing: the path of the NFS export");
  auto share = parse_server(server);
  if (!share) return share;
  if (!path.starts_with('/'))
    return bad(fmt::format("share: \"{}\" does not begin with /", printable(std::string(path))));
  auto rest = normal(path, "share");
  if (!rest) return rest.error();
  share->path = "/" + *rest;
  return share;
}

Answer<std::string> parse_directory(std::string_view text) {
  auto out = normal(text, "subDir");
  if (!out) return out;
  // Anywhere in the path: the marker and our records lie in shares and in directories alike.
  if (out->starts_with(kReserved) || out->find(fmt::format("/{}", kReserved)) != std::string::npos)
    return bad(fmt::format("subDir: names that begin with {} are Holdfast's own", kReserved));
  return out;
}

std::string server_text(const Share& share) {
  const bool ipv6 = share.server.find(':') != std::string::npos;
  if (!share.port) return share.server;
  return ipv6 ? fmt::format("[{}]:{}", share.server, *share.port)
              : fmt::format("{}:{}", share.server, *share.port);
}

std::string mount_source(const Place& place) {
  const bool ipv6 = place.share.server.find(':') != std::string::npos;
  const std::string host = ipv6 ? fmt::format("[{}]", place.share.server) : place.share.server;
  std::string path = place.share.path;
  if (!place.directory.empty()) path = (path == "/" ? "" : path) + "/" + place.directory;
  return place.share.port ? fmt::format("nfs://{}:{}{}", host, *place.share.port, path)
                          : fmt::format("{}:{}", host, path);
}

bool overlap(std::string_view directory, std::string_view other) {
  const auto inside = [](std::string_view inner, std::string_view outer) {
    return outer.empty() || inner == outer ||
           (inner.starts_with(outer) && inner[outer.size()] == '/');
  };
  return inside(directory, other) || inside(other, directory);
}

}  // namespace holdfast::csi
