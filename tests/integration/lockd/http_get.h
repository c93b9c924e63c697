#pragma once
/// HTTP as a test says it, byte by byte if need be. Blocking, every wait bounded.

#include "holdfast/base/unique_fd.h"

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

namespace holdfast::test {

class HttpPeer {
 public:
  explicit HttpPeer(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect");
  }
  void send(const std::string& bytes) {
    [[maybe_unused]] const auto sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  /// All that comes until the other side closes.
  std::string rest(int within_ms = 20'000) {
    std::string out;
    char buffer[65536];
    for (;;) {
      pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, within_ms) <= 0) throw std::runtime_error("it does not close");
      const auto count = ::recv(fd_.get(), buffer, sizeof buffer, 0);
      if (count <= 0) return out;
      out.append(buffer, static_cast<std::size_t>(count));
    }
  }

 private:
  UniqueFd fd_;
};

/// The whole answer, with its head.
inline std::string http(std::uint16_t port, const std::string& path,
                        const std::string& host = "127.0.0.1", const std::string& method = "GET") {
  HttpPeer peer(port);
  peer.send(method + " " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
  return peer.rest();
}
inline std::string status_of(const std::string& answer) {
  return answer.substr(0, answer.find("\r\n"));
}
inline std::string body_of(const std::string& answer) {
  const auto at = answer.find("\r\n\r\n");
  return at == std::string::npos ? "" : answer.substr(at + 4);
}

/// "... status.listening address=127.0.0.1:4711" -> 4711
inline std::uint16_t status_port(const std::string& log_path) {
  std::ostringstream text;
  text << std::ifstream(log_path).rdbuf();
  const std::string log = text.str();
  const std::string key = "status.listening address=127.0.0.1:";
  const auto at = log.find(key);
  if (at == std::string::npos) throw std::runtime_error("no status page: " + log);
  return static_cast<std::uint16_t>(std::stoul(log.substr(at + key.size())));
}

}  // namespace holdfast::test
