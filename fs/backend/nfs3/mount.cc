#include "fs/backend/nfs3/mount.h"

#include "fs/backend/nfs3/decode.h"
#include "fs/backend/nfs3/encode.h"
#include "fs/backend/nfs3/encode_support.h"
#include "fs/backend/nfs3/rpc/once.h"
#include "fs/backend/nfs3/status.h"

#include <optional>
#include <utility>

#include <nfsc/libnfs-raw-mount.h>
#include <unistd.h>

namespace asio = boost::asio;
using asio::ip::tcp;

namespace holdfast::fs::nfs3 {
namespace {

constexpr std::uint32_t kMountProgram = MOUNT_PROGRAM;
constexpr std::uint32_t kMountVersion = 3;
constexpr std::size_t kPathMax = 1024;  // MNTPATHLEN

Credentials own_credentials() {
  return {.uid = ::geteuid(), .gid = ::getegid(), .groups = {}};
}

rpc::SocketOptions socket_options(const Options& options) {
  return {.connect_timeout = options.mount_timeout,
          .unacked_max = options.unacked_max,
          .send_buffer = options.send_buffer};
}

Failure unreachable(const Options& options, const std::string& service, const ErrorCode& code) {
  std::string hint;
  if (code == asio::error::connection_refused) hint = "; is the NFS server running?";
  if (code == asio::error::timed_out || code.value() == ETIMEDOUT)
    hint = "; is the address right, and does a firewall let NFS through?";
  return {.code = code, .text = options.server + ": " + service + ": " + code.message() + hint};
}

Failure no_version_three(const Options& options, const rpc::ReplyHeader* header) {
  std::string text = options.server + ": the server does not offer NFS version 3";
  if (header != nullptr && header->outcome == rpc::Outcome::kVersionMismatch)
    text += " (it offers " + std::to_string(header->version_low) + " to " +
            std::to_string(header->version_high) + ")";
  return {.code = errno_code(EPROTONOSUPPORT), .text = text + "; switch version 3 on there"};
}

/// The first address that answers an NFSv3 NULL call.
struct Ping {
  asio::ip::address address;
  Failure failure;
};
asio::awaitable<Ping> ping(asio::any_io_executor executor, Options options) {
  Ping out;
  const auto addresses = co_await rpc::resolve(executor, options.server);
  if (!addresses) {
    out.failure = {.code = addresses.error(),
                   .text = options.server + ": " + addresses.error().message()};
    co_return out;
  }
  for (const auto& address : *addresses) {
    std::uint16_t port = options.port;
    if (port == 0) {
      const auto found = co_await rpc::ask_portmapper(executor, address, kNfsProgram, kNfsVersion,
                                                      socket_options(options));
      if (!found) {
        out.failure = unreachable(options, "portmapper (port 111)", found.error());
        continue;
      }
      port = *found;
      if (port == 0) {
        out.failure = no_version_three(options, nullptr);
        continue;
      }
    }
    auto message = encode_null(own_credentials());
    const auto reply = co_await rpc::call_once(executor, tcp::endpoint(address, port),
                                               std::move(message), socket_options(options));
    if (!reply) {
      out.failure = unreachable(options, "NFS (port " + std::to_string(port) + ")", reply.error());
      continue;
    }
    if (reply->header.outcome != rpc::Outcome::kSuccess) {
      out.failure = no_version_three(options, &reply->header);
      continue;
    }
    out.address = address;
    out.failure = {};
    co_return out;
  }
  co_return out;
}

asio::awaitable<Result<std::uint16_t>> mount_port(asio::any_io_executor executor,
                                                  asio::ip::address server, Options options) {
  if (options.mountport != 0) co_return options.mountport;
  co_return co_await rpc::ask_portmapper(executor, server, kMountProgram, kMountVersion,
                                         socket_options(options));
}

rpc::Message encode_mount(std::uint32_t procedure, const std::string& path) {
  rpc::MessageWriter writer(
      {.program = kMountProgram, .version = kMountVersion, .number = procedure}, own_credentials(),
      kPathMax + 16);
  char* directory = const_cast<char*>(path.c_str());
  writer.add(zdr_dirpath, directory);
  return writer.finish();
}

}  // namespace

asio::awaitable<MountAnswer> ask_mount(asio::any_io_executor executor, Options options) {
  MountAnswer out;
  if (options.path.empty() || options.path.size() > kPathMax) {
    out.failure = {.code = errno_code(EINVAL),
                   .text = options.server + ": the export's path is empty or too long"};
    co_return out;
  }
  auto server = co_await ping(executor, options);
  if (server.failure.code) {
    out.failure = std::move(server.failure);
    co_return out;
  }
  const auto port = co_await mount_port(executor, server.address, options);
  if (!port) {
    out.failure = unreachable(options, "portmapper (port 111)", port.error());
    out.failure.text += " (or give mountport=)";
    co_return out;
  }
  if (*port == 0) {
    out.failure = {.code = errno_code(EPROTONOSUPPORT),
                   .text = options.server +
                           ": no MOUNT version 3 service is registered; switch NFS version 3 on "
                           "there, or give mountport="};
    co_return out;
  }
  auto message = encode_mount(MOUNT3_MNT, options.path);
  const auto reply = co_await rpc::call_once(executor, tcp::endpoint(server.address, *port),
                                             std::move(message), socket_options(options));
  if (!reply) {
    out.failure = unreachable(options, "MOUNT (port " + std::to_string(*port) + ")", reply.error());
    co_return out;
  }
  if (reply->header.outcome != rpc::Outcome::kSuccess) {
    out.failure = {.code = errno_code(EPROTONOSUPPORT),
                   .text = options.server +
                           ": the MOUNT service refused the call (version 3 "
                           "off, or credentials not accepted)"};
    co_return out;
  }
  auto reader = reply->reader();
  const std::uint32_t status = reader.u32();
  if (reader.ok() && status != MNT3_OK) {
    out.failure = {.code = errno_code(mount_status_to_errno(status)),
                   .text = mount_status_text(status, options.server, options.path)};
    co_return out;
  }
  out.root = decode_handle(
      reader);  // the list of flavours that follows is not needed: AUTH_SYS or nothing
  if (!reader.ok() || out.root.bytes.empty())
    out.failure = {.code = errno_code(EBADMSG),
                   .text = options.server + ": malformed answer from the MOUNT service"};
  co_return out;
}

asio::awaitable<void> say_unmount(asio::any_io_executor executor, Options options) {
  options.mount_timeout = std::chrono::milliseconds(1000);
  const auto addresses = co_await rpc::resolve(executor, options.server);
  if (!addresses || addresses->empty()) co_return;
  const auto address = addresses->front();
  const auto port = co_await mount_port(executor, address, options);
  if (!port || *port == 0) co_return;
  auto message = encode_mount(MOUNT3_UMNT, options.path);
  (void)co_await rpc::call_once(executor, tcp::endpoint(address, *port), std::move(message),
                                socket_options(options));
}

asio::awaitable<Result<std::vector<tcp::endpoint>>> locate(asio::any_io_executor executor,
                                                           Options options) {
  const auto addresses = co_await rpc::resolve(executor, options.server);
  if (!addresses) co_return addresses.error();
  std::vector<tcp::endpoint> endpoints;
  for (const auto& address : *addresses) {
    std::uint16_t port = options.port;
    if (port == 0) {
      const auto found = co_await rpc::ask_portmapper(executor, address, kNfsProgram, kNfsVersion,
                                                      socket_options(options));
      if (!found || *found == 0) continue;
      port = *found;
    }
    endpoints.emplace_back(address, port);
  }
  if (endpoints.empty()) co_return errno_code(EHOSTUNREACH);
  co_return endpoints;
}

}  // namespace holdfast::fs::nfs3
