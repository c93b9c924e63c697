#include "holdfast/wire/address.h"

#include <charconv>
#include <optional>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace holdfast::wire {
namespace {

using ParsedAddress = boost::system::result<Address, AddressError>;

constexpr std::string_view kUnixPrefix = "unix:";

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

ParsedAddress bad(std::string_view text, std::string_view why) {
  return AddressError{fmt::format("'{}' is no address: {}", text, why)};
}

ParsedAddress parse_unix(std::string_view text) {
  const std::string_view path = text.substr(kUnixPrefix.size());
  if (path.empty() || path.front() != '/') return bad(text, "unix: needs an absolute path");
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return bad(text, fmt::format("the path of a unix socket has at most {} bytes",
                                 sizeof(sockaddr_un::sun_path) - 1));
  }
  return Address(UnixAddress{std::string(path)});
}

ParsedAddress with_port(std::string_view text, std::string_view host, std::string_view port_text) {
  const auto port = parse_port(port_text);
  if (!port) return bad(text, "the port is a number from 0 to 65535");
  return Address(TcpAddress{std::string(host), *port});
}

}  // namespace

ParsedAddress parse_address(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) return parse_unix(text);
  if (text.empty()) return bad(text, "it is empty");
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '/') {
      return bad(text, "write HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH");
    }
  }
  if (text.front() == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos || close == 1) return bad(text, "write [IPV6]:PORT");
    const std::string_view host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return Address(TcpAddress{std::string(host), kDefaultPort});
    if (rest.front() != ':') return bad(text, "write [IPV6]:PORT");
    return with_port(text, host, rest.substr(1));
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return Address(TcpAddress{std::string(text), kDefaultPort});
  if (text.find(':', colon + 1) != std::string_view::npos) {
    return bad(text, "an IPv6 address needs brackets: [IPV6]:PORT");
  }
  if (colon == 0) return bad(text, "the host is missing");
  return with_port(text, text.substr(0, colon), text.substr(colon + 1));
}

std::string to_string(const Address& address) {
  if (const auto* local = std::get_if<UnixAddress>(&address)) {
    return std::string(kUnixPrefix) + local->path;
  }
  const auto& tcp = std::get<TcpAddress>(address);
  if (tcp.host.find(':') != std::string::npos) return fmt::format("[{}]:{}", tcp.host, tcp.port);
  return fmt::format("{}:{}", tcp.host, tcp.port);
}

bool stays_here(const Address& address) {
  const auto* tcp = std::get_if<TcpAddress>(&address);
  if (tcp == nullptr || tcp->host == "localhost") return true;
  in_addr v4{};
  if (::inet_pton(AF_INET, tcp->host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return ::inet_pton(AF_INET6, tcp->host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace holdfast::wire
