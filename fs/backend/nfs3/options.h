#pragma once
/// How to reach and use one NFS version 3 export.

#include <chrono>
#include <cstdint>
#include <string>

namespace holdfast::fs::nfs3 {

struct Options {
  /// No record we send or take is larger than this plus its head, whatever the server offers (RFC
  /// 1813 FSINFO; ganesha advertises 64 MiB).
  static constexpr std::uint32_t kTransferMax = 1U << 20;
  static constexpr unsigned kConnectionsMax = 4;

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
  std::chrono::milliseconds unacked_max{10'000};    ///< TCP_USER_TIMEOUT
  bool reserved_port = true;  ///< try a source port below 1024 (exports with "secure" want it)
  bool readdirplus = true;
};

}  // namespace holdfast::fs::nfs3
