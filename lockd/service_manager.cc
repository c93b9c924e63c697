#include "lockd/service_manager.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace holdfast::lockd {
namespace {

std::string take(const char* name) {
  const char* value = std::getenv(name);
  std::string out = value == nullptr ? "" : value;
  ::unsetenv(name);
  return out;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size() || out == 0) return std::nullopt;
  return out;
}

// A line end would begin a statement of its own.
std::string one_line(std::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(), [](unsigned char c) { return c < ' '; }, ' ');
  return out;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
  ServiceManager out;
  const auto timeout = number(take("WATCHDOG_USEC"));
  const std::string whose = take("WATCHDOG_PID");
  std::string socket = take("NOTIFY_SOCKET");
  if (socket.size() < 2 || socket.size() >= sizeof(sockaddr_un::sun_path)) return out;
  if (socket[0] == '@') {
    socket[0] = '\0';  // abstract: unix(7)
  } else if (socket[0] != '/') {
    return out;
  }
  out.sender_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!out.sender_) return out;
  out.socket_ = std::move(socket);
  const bool ours = whose.empty() || number(whose) == static_cast<std::uint64_t>(::getpid());
  // Half of it, as sd_watchdog_enabled(3) advises.
  if (timeout && ours)
    out.alive_every_ = std::chrono::microseconds(std::max<std::uint64_t>(*timeout / 2, 1));
  return out;
}

void ServiceManager::ready(std::string_view status) const {
  say("READY=1\nSTATUS=" + one_line(status));
}

void ServiceManager::status(std::string_view text) const {
  say("STATUS=" + one_line(text));
}

void ServiceManager::stopping() const {
  say("STOPPING=1\nSTATUS=stopping; mounts keep their locks");
}

void ServiceManager::alive() const {
  say("WATCHDOG=1");
}

void ServiceManager::say(std::string_view lines) const {
  if (!sender_) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::copy(socket_.begin(), socket_.end(), to.sun_path);
  // An abstract name is as long as it is said to be; a path ends at its NUL, which may be there.
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
  [[maybe_unused]] const auto sent =
      ::sendto(sender_.get(), lines.data(), lines.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&to), size);
}

}  // namespace holdfast::lockd
