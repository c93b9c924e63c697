#pragma once
/// lockd inside the mount's process (-o lockd=embedded), for a volume that only this node uses.
///
/// One per volume and node: a lock file, which is there as long as the mount is. It listens on
/// /run/holdfast/<volume>.sock (mode 0600; $XDG_RUNTIME_DIR for users), where `holdfast locks` and
/// further mounts on this node (-o lockd=unix:...) find it.
///
/// Leases of a former life: the former process's own session died with it. But if it was killed, a
/// further mount may still act under a lease that it granted, or a write may still be on its way to
/// the server. A note in the same directory tells a killed life from one that ended cleanly with no
/// session left; after a killed one we wait for one lease, as holdfast-lockd does. /run is empty
/// after a reboot, and then so are all leases.
///
/// Thread: the loop's. stop() before destruction.

#include "cli/mount/failure.h"
#include "fs/volume/volume_id.h"
#include "holdfast/base/unique_fd.h"
#include "holdfast/wire/address.h"

#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>

namespace holdfast::lockd {
class Server;
}

namespace holdfast::cli {

class EmbeddedServer {
 public:
  using Opened = boost::system::result<std::unique_ptr<EmbeddedServer>, Failure>;
  [[nodiscard]] static boost::asio::awaitable<Opened> open(boost::asio::any_io_executor executor,
                                                           VolumeId volume);
  ~EmbeddedServer();
  EmbeddedServer(const EmbeddedServer&) = delete;
  EmbeddedServer& operator=(const EmbeddedServer&) = delete;

  [[nodiscard]] wire::Address address() const { return wire::UnixAddress{socket_path_}; }
  /// A former life was killed: start takes one lease longer.
  [[nodiscard]] bool waits() const { return waits_; }
  boost::asio::awaitable<void> stop();

 private:
  EmbeddedServer() = default;
  std::string socket_path_;
  std::string note_path_;
  std::string lock_path_;
  UniqueFd lock_;
  std::unique_ptr<lockd::Server> server_;
  bool waits_ = false;
};

}  // namespace holdfast::cli
