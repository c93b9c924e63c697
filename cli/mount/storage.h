#pragma once
/// The storage behind a mount, by its source.

#include "cli/mount/failure.h"
#include "cli/mount/settings.h"
#include "fs/backend/backend.h"
#include "fs/backend/nfs3/options.h"
#include "fs/core/owner_mapping.h"
#include "fs/counters/counters.h"
#include "fs/guard/socket_guard.h"
#include "fs/state/state.h"

#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>

namespace holdfast::cli {

using OpenedStorage = boost::system::result<std::unique_ptr<fs::Backend>, Failure>;

/// Who is told of what the storage does; each may be null, and outlives the storage.
struct StorageWatchers {
  fs::guard::SocketGuard* guard = nullptr;  ///< of sockets
  fs::counters::Counters* counters = nullptr;
  fs::state::State* state = nullptr;
};
[[nodiscard]] boost::asio::awaitable<OpenedStorage> open_storage(
    boost::asio::any_io_executor executor, MountSettings settings, StorageWatchers watchers);

/// What -o says about NFS; nobody watches.
[[nodiscard]] fs::nfs3::Options nfs_options(const NfsSource& source, const MountOptions& from);
/// What to look at when a server or export could not be mounted.
[[nodiscard]] std::string nfs_hint(const ErrorCode& error, const NfsSource& source);

/// Finds or makes the volume's marker.
[[nodiscard]] boost::asio::awaitable<boost::system::result<VolumeId, Failure>> identify_volume(
    fs::Backend& backend, MountSettings settings);

/// The storage as -o owner= shows it.
struct MappedStorage {
  std::unique_ptr<fs::Backend> backend;  ///< uses the storage, which outlives it
  fs::Owner identity;                    ///< who asks it
  bool may_write = true;                 ///< in the mounted directory
};
[[nodiscard]] boost::asio::awaitable<boost::system::result<MappedStorage, Failure>> map_owner(
    fs::Backend& storage, fs::OwnerOptions options);

}  // namespace holdfast::cli
