#pragma once
/// A TCP relay on the loopback that can be shut: everything that passes through it stands still, in
/// both directions, without anybody being told, as when a cable is cut.
///
/// Thread: its own; every method may be called from any thread.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <string>
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
  /// What clients send is kept from now on: what came within `within`. The rest, also that they
  /// hung up, never arrives; nor do answers.
  void keep(std::chrono::milliseconds within);
  /// What was kept arrives now.
  void deliver() { deliver_ = true; }

 private:
  struct Relay {
    int a = -1;  // the client
    int b = -1;
    std::string kept;
  };
  void run();
  static bool pass(int from, int to);
  void keep_what_comes();

  std::uint16_t to_;
  std::uint16_t port_ = 0;
  int listening_ = -1;
  std::list<Relay> relays_;
  std::atomic<bool> shut_{false};
  std::atomic<bool> end_{false};
  std::atomic<std::chrono::steady_clock::time_point> keep_until_{};  // once: keep(), for ever
  std::atomic<bool> deliver_{false};
  std::thread thread_;
};

}  // namespace holdfast::support
