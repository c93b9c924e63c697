#pragma once
/// Where lockd listens and where mounts find it: `host`, `host:port`, `[v6]:port`, `unix:/path`.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include <boost/system/result.hpp>

namespace holdfast::wire {

inline constexpr std::uint16_t kDefaultPort = 7680;

struct TcpAddress {
  std::string host;  ///< name or number, without brackets; "*" = all (listening only)
  std::uint16_t port = kDefaultPort;
  friend bool operator==(const TcpAddress&, const TcpAddress&) = default;
};
struct UnixAddress {
  std::string path;
  friend bool operator==(const UnixAddress&, const UnixAddress&) = default;
};
using Address = std::variant<TcpAddress, UnixAddress>;

/// What is wrong with the text, as one sentence for the user.
struct AddressError {
  std::string what;
};

[[nodiscard]] boost::system::result<Address, AddressError> parse_address(std::string_view text);
/// It never leaves this host: a unix socket, 127.0.0.0/8, ::1, "localhost".
[[nodiscard]] bool stays_here(const Address& address);
/// As parse_address() reads it.
[[nodiscard]] std::string to_string(const Address& address);

}  // namespace holdfast::wire
