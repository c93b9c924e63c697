#pragma once
/// Finding a server and asking its MOUNT service for the export's root handle (RFC 1813 appendix
/// I).
///
/// Thread: the loop's thread only.

#include "fs/backend/nfs3/options.h"
#include "fs/backend/nfs3/rpc/socket.h"
#include "fs/backend/types.h"
#include "holdfast/base/result.h"

#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace holdfast::fs::nfs3 {

/// An error with the line an operator reads.
struct Failure {
  ErrorCode code;
  std::string text;
};

/// The root handle, or why not.
struct MountAnswer {
  FileHandle root;
  Failure failure;  ///< failure.code set = refused
};

/// Checks that the server offers NFSv3 and mounts options.path.
[[nodiscard]] boost::asio::awaitable<MountAnswer> ask_mount(boost::asio::any_io_executor executor,
                                                            Options options);
/// Tells the server that we are gone. Best effort: only its `showmount` list cares.
[[nodiscard]] boost::asio::awaitable<void> say_unmount(boost::asio::any_io_executor executor,
                                                       Options options);
/// Where the NFS service is now (names and portmapper are asked again each time).
[[nodiscard]] boost::asio::awaitable<Result<std::vector<boost::asio::ip::tcp::endpoint>>> locate(
    boost::asio::any_io_executor executor, Options options);

}  // namespace holdfast::fs::nfs3
