#pragma once
/// A TCP relay on the loopback that can be shut: everything that passes through it stands still, in
/// both directions, without anybody being told, as when a cable is cut.
///
/// Thread: its own; every method may be called from any thread.

#include <atomic>
#include <cstdint>
#include <list>
#include <thread>

namespace holdfast::support {

class TcpGate {
 public:
  /// Relays to this port of the loopback.
  explicit TcpGate(std::uint16_t to);
  ~TcpGate();
  TcpGate(const TcpGate&) = delete;
  TcpGate& operator=(const TcpGate&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  void shut(bool yes) { shut_ = yes; }

 private:
  struct Relay {
    int a = -1;
    int b = -1;
  };
  void run();
  bool pass(int from, int to) const;

  std::uint16_t to_;
  std::uint16_t port_ = 0;
  int listening_ = -1;
  std::list<Relay> relays_;
  std::atomic<bool> shut_{false};
  std::atomic<bool> end_{false};
  std::thread thread_;
};

}  // namespace holdfast::support
