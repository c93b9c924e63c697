#include "deploy/csi/keeper/client.h"

#include "holdfast/base/unique_fd.h"
#include "holdfast/base/unix_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace holdfast::csi {
namespace {

Refusal no_keeper(const std::string& path, std::string_view why) {
  return {
      Code::kUnavailable,
      fmt::format("no keeper at {} ({}): is the pod or service holdfast-csi-keeper of this node "
                  "running?",
                  path, why)};
}

}  // namespace

Answer<KeeperAnswer> ask_keeper(const std::string& socket_path,
                                const std::vector<std::string>& request,
                                std::chrono::milliseconds patience) {
  auto socket = connect_unix(socket_path);
  if (!socket) return no_keeper(socket_path, socket.error().message());
  const std::string bytes = encode_request(request);
  // Smaller than any socket buffer: sent whole.
  if (bytes.size() > kRequestBytesMax)
    return Refusal{Code::kInvalidArgument, "mount options or paths are too long"};
  if (::send(socket->get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(bytes.size()))
    return no_keeper(socket_path, std::strerror(errno));
  ::shutdown(socket->get(), SHUT_WR);
  const auto until = std::chrono::steady_clock::now() + patience;
  std::string said;
  while (said.size() <= kAnswerBytesMax) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                          until - std::chrono::steady_clock::now())
                          .count();
    pollfd ready{socket->get(), POLLIN, 0};
    const int polled = left <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left));
    if (polled < 0 && errno == EINTR) continue;
    if (polled <= 0)
      return Refusal{Code::kDeadlineExceeded, "the mount is still being worked on; try again"};
    std::array<char, 4096> buffer{};
    const auto got = ::read(socket->get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    said.append(buffer.data(), static_cast<std::size_t>(got));
  }
  auto answer = parse_answer(said);
  if (!answer) return no_keeper(socket_path, "it ended without an answer");
  return *answer;
}

}  // namespace holdfast::csi
