#pragma once
/// What lockd tells the service manager that started it (systemd, Type=notify): the protocol of
/// sd_notify(3), which is a datagram of lines, without its library.
///
/// Thread: the loop's. Nothing here blocks or fails: a service manager that does not listen is no
/// reason not to grant locks. Without one, all of it does nothing.

#include "holdfast/base/unique_fd.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::lockd {

class ServiceManager {
 public:
  /// Reads $NOTIFY_SOCKET and $WATCHDOG_USEC ($WATCHDOG_PID: whose they are), and removes them: a
  /// fence command is not the service. Before other threads start.
  [[nodiscard]] static ServiceManager from_environment();

  /// Mounts can be served, or (replicas) would be in our turn. May be said again.
  void ready(std::string_view status) const;
  void status(std::string_view text) const;
  void stopping() const;
  void alive() const;
  /// How often alive() is to be called; nothing: nobody waits for it.
  [[nodiscard]] std::optional<std::chrono::microseconds> alive_every() const {
    return alive_every_;
  }

 private:
  void say(std::string_view lines) const;

  std::string socket_;  // as in sockaddr_un, or empty
  UniqueFd sender_;
  std::optional<std::chrono::microseconds> alive_every_;
};

}  // namespace holdfast::lockd
