#pragma once
/// One connection, as the server sees it. Private to lockd/server.

#include "lockd/server/server.h"

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace holdfast::lockd {

struct Server::Peer {
  std::shared_ptr<wire::Connection> connection;
  ConnectionId id;
  Door door;
  Hello hello;                           // as it was said, without its token; for the log
  std::optional<Credential> credential;  // by which it was admitted, if it needed one
  std::uint64_t trust = 0;               // Tls::trust() then
  std::chrono::steady_clock::time_point accepted_at;
  std::optional<SessionId> session;  // once welcomed, until replaced or ended
  bool stranger = true;
  std::list<PeerPtr>::iterator in_peers;
  std::list<PeerPtr>::iterator in_strangers;  // while stranger
};

/// Text from the network, safe in a log line: printable ASCII without quotes.
[[nodiscard]] inline std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 200)) {
    out += (c > ' ' && c < 0x7f && c != '"' && c != '\\') ? c : '?';
  }
  return out;
}

[[nodiscard]] inline std::string printable(SessionId session) {
  return fmt::format("{:016x}", session.value);
}

}  // namespace holdfast::lockd
