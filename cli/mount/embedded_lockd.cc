#include "cli/mount/embedded_lockd.h"

#include "cli/mount/lock_file.h"
#include "cli/runtime_directory.h"
#include "lockd/server/identity.h"
#include "lockd/server/server.h"
#include "lockd/store/memory_store.h"

#include <cerrno>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

namespace stdfs = std::filesystem;

Failure system_failure(const std::string& path, const ErrorCode& error) {
  return {kExitSystem, fmt::format("{}: {}", path, error.message()),
          "lockd=embedded keeps its socket there"};
}

}  // namespace

boost::asio::awaitable<EmbeddedServer::Opened> EmbeddedServer::open(
    boost::asio::any_io_executor executor, VolumeId volume) {
  const std::string directory = runtime_directory();
  std::error_code failed;
  stdfs::create_directories(directory, failed);
  const std::string base = directory + "/" + fs::to_string(volume);
  std::unique_ptr<EmbeddedServer> out(new EmbeddedServer);  // NOLINT: private constructor
  out->socket_path_ = base + ".sock";
  out->note_path_ = base + ".running";

  out->lock_path_ = base + ".lock";
  auto lock = hold_lock_file(out->lock_path_, 0600);
  if (!lock && lock.error() != errno_code(EWOULDBLOCK))
    co_return system_failure(out->lock_path_, lock.error());
  if (!lock) {
    co_return Failure{
        kExitMount,
        fmt::format("volume {} is already mounted on this node with lockd=embedded",
                    fs::to_string(volume)),
        fmt::format("unmount it first; or mount both with a holdfast-lockd of their own; "
                    "or use the first mount's: -o lockd=unix:{}",
                    out->socket_path_)};
  }
  out->lock_ = std::move(*lock);

  lockd::ServerOptions options;
  options.admin_path = out->socket_path_;
  out->waits_ = stdfs::exists(out->note_path_);
  const UniqueFd note(::open(out->note_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!note) co_return system_failure(out->note_path_, errno_code(errno));
  ::unlink(out->socket_path_.c_str());  // a former life's; we hold the lock
  auto contents = std::make_shared<lockd::Contents>();
  contents->empty = out->waits_;
  out->server_ = std::make_unique<lockd::Server>(
      std::move(executor), std::move(options),
      std::make_unique<lockd::MemoryStore>(std::move(contents), lockd::wall_seconds()));
  auto opened = co_await out->server_->open();
  if (!opened) {
    out->server_.reset();
    co_return Failure{kExitSystem, opened.error().what, opened.error().hint};
  }
  co_return out;
}

EmbeddedServer::~EmbeddedServer() {
  // Last, and while it is locked: see lock_file.h.
  if (lock_) ::unlink(lock_path_.c_str());
}

boost::asio::awaitable<void> EmbeddedServer::stop() {
  if (!server_) co_return;
  const bool others = !server_->coordinator().list_sessions(boot_time_now()).sessions.empty();
  co_await server_->stop();
  server_.reset();
  ::unlink(socket_path_.c_str());
  if (!others) ::unlink(note_path_.c_str());
}

}  // namespace holdfast::cli
