#pragma once
/// The storage behind a mount, by its source.

#include "cli/mount/failure.h"
#include "cli/mount/settings.h"
#include "fs/backend/backend.h"
#include "fs/counters/counters.h"
#include "fs/guard/socket_guard.h"

#include <memory>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>

namespace holdfast::cli {

using OpenedStorage = boost::system::result<std::unique_ptr<fs::Backend>, Failure>;

/// `guard` is for sockets and may be null; both outlive the storage.
[[nodiscard]] boost::asio::awaitable<OpenedStorage> open_storage(
    boost::asio::any_io_executor executor, MountSettings settings, fs::guard::SocketGuard* guard,
    fs::counters::Counters* counters);

/// Finds or makes the volume's marker.
[[nodiscard]] boost::asio::awaitable<boost::system::result<VolumeId, Failure>> identify_volume(
    fs::Backend& backend, MountSettings settings);

}  // namespace holdfast::cli
