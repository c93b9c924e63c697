#pragma once
/// How to reach and use one NFS version 3 export.

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast::fs::guard {
class SocketGuard;
}
namespace holdfast::fs::counters {
class Counters;
}
namespace holdfast::fs::state {
class State;
}

namespace holdfast::fs::nfs3 {

struct Options {
  /// No record we send or take is larger than this plus its head, whatever the server offers (RFC
  /// 1813 FSINFO; ganesha advertises 64 MiB).
  static constexpr std::uint32_t kTransferMax = 1U << 20;
  static constexpr unsigned kConnectionsMax = 4;
  static constexpr std::chrono::milliseconds kUnackedMax{3'000};

  std::string server;           ///< host name or address
  std::string path;             ///< the export, or a directory in it: "/export"
  std::uint16_t port = 2049;    ///< 0 = ask the server's portmapper
  std::uint16_t mountport = 0;  ///< 0 = ask the server's portmapper
  std::uint32_t rsize = kTransferMax;
  std::uint32_t wsize = kTransferMax;
  unsigned connections = 2;  ///< 1..kConnectionsMax
  bool hard = true;          ///< retry for ever; else ETIMEDOUT after `timeo`
  std::chrono::milliseconds timeo{
      60'000};  ///< without progress for this long: reconnect and send again
  std::chrono::milliseconds mount_timeout{10'000};  ///< for each step of connecting at start
  /// TCP_USER_TIMEOUT: how long the kernel keeps sending what the server does not acknowledge, also
  /// for a process that is frozen or has no guardian. lockd waits it out (Hello::write_life).
  std::chrono::milliseconds unacked_max = kUnackedMax;
  int send_buffer = 1 << 20;  ///< SO_SNDBUF: bytes the kernel may hold of one connection
  bool reserved_port = true;  ///< try a source port below 1024 (exports with "secure" want it)
  bool readdirplus = true;
  guard::SocketGuard* guard = nullptr;  ///< ends connections with the lease; outlives the backend
  counters::Counters* counters = nullptr;  ///< what calls are counted in; outlives the backend
  state::State* state = nullptr;           ///< calls under way are told there; outlives the backend
};

}  // namespace holdfast::fs::nfs3
