#include "cli/mount/mount_life.h"

#include "cli/mount/background.h"
#include "cli/mount/clearing.h"
#include "cli/mount/control.h"
#include "cli/mount/credentials.h"
#include "cli/mount/embedded_lockd.h"
#include "cli/mount/presence.h"
#include "cli/mount/process_info.h"
#include "cli/mount/storage.h"
#include "cli/runtime_directory.h"
#include "fs/backend/nfs3/options.h"
#include "fs/counters/counters.h"
#include "fs/fuse/abort_file.h"
#include "fs/fuse/filesystem.h"
#include "fs/guard/socket_guard.h"
#include "fs/lock/lock_client.h"
#include "fs/state/state.h"
#include "holdfast/base/log.h"
#include "holdfast/base/result.h"
#include "holdfast/task/group.h"

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>
#include <unistd.h>

namespace asio = boost::asio;

namespace holdfast::cli {
namespace {

using Done = boost::system::result<void, Failure>;

std::string host_name() {
  char name[256] = "?";
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

/// What lockd and people call the volume. A directory's path means something on its node only.
std::string volume_name(const MountSettings& settings) {
  if (const auto* nfs = std::get_if<NfsSource>(&settings.source))
    return fmt::format("{}:{}", nfs->server, nfs->path);
  return fmt::format("{}:{}", host_name(), std::get<DirectorySource>(settings.source).path);
}

/// The kernel may forget an inode and want it again soon: its token is worth keeping.
constexpr std::size_t kTokensOfAnInode = 2;

std::size_t inodes_max(const MountSettings& settings) {
  return settings.options.inodes_max.value_or(fs::MountOptions{}.inodes_max);
}

std::string lockd_text(const MountSettings& settings) {
  const auto* shared = std::get_if<SharedLockd>(&*settings.options.lockd);
  if (shared == nullptr) return "embedded";
  std::string all;
  for (const wire::Address& one : *shared)
    all += (all.empty() ? "" : ", ") + wire::to_string(one);
  return all;
}

fs::MountOptions filesystem_options(const MountSettings& settings) {
  fs::MountOptions out;
  out.fsname = settings.source_text;
  out.read_only = settings.options.read_only;
  out.allow_other = settings.options.allow_other.value_or(::geteuid() == 0);
  out.kernel_options = settings.options.kernel_options;
  out.keep = true;
  out.kept_ages = settings.options.kept_ages;
  out.linger = settings.options.linger;
  out.dirty_max = settings.options.dirty_max.value_or(out.dirty_max);
  out.inodes_max = inodes_max(settings);
  return out;
}

class Life {
 public:
  Life(asio::io_context& io, const MountSettings& settings, Reporter& reporter)
      : io_(io), settings_(settings), reporter_(reporter), signals_(io, SIGTERM, SIGINT, SIGHUP) {
    signals_.add(SIGUSR1);
  }

  asio::awaitable<void> run() {
    auto begun = co_await begin();
    if (begun) {
      log::info("mount.ready", "source={} mountpoint={} pid={}", settings_.source_text,
                settings_.mountpoint, ::getpid());
      presence_ = std::make_unique<Presence>(settings_.mountpoint);
      reporter_.succeeded();
      co_await filesystem_->run();
      log::info("mount.ended", "mountpoint={}", settings_.mountpoint);
      exit_code_ = kExitOk;
    } else {
      log::warn("mount.failed", "mountpoint={} why=\"{}\"", settings_.mountpoint,
                begun.error().what);
      exit_code_ = begun.error().exit_code;
      failure_ = begun.error();
    }
    co_await end();
  }

  asio::awaitable<void> watch_signals() {
    // A mount that fails at once is over before anybody waits, and then there is nothing to cancel.
    while (!ended_) {
      ErrorCode stopped;
      const int signal =
          co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, stopped));
      if (stopped) co_return;
      if (signal == SIGHUP) {
        reopen_log(settings_.options.log, settings_.mountpoint);
      } else if (signal == SIGUSR1) {
        log_counters();
      } else if (filesystem_) {
        log::info("mount.stopping", "signal={}", signal);
        filesystem_->request_unmount();
      } else {
        counters_.reset();  // the files
        state_.reset();
        ::_exit(kExitMount);  // still starting: nothing is mounted, no lock is held
      }
    }
  }
  [[nodiscard]] int exit_code() const { return exit_code_; }
  [[nodiscard]] const std::optional<Failure>& failure() const { return failure_; }

 private:
  asio::awaitable<Done> begin() {
    if (auto guarded = begin_guard(); !guarded) co_return guarded;
    begin_counters();
    const StorageWatchers watchers{guard_.get(), counters_.get(), state_.get()};
    auto storage = co_await open_storage(io_.get_executor(), settings_, watchers);
    if (!storage) co_return storage.error();
    backend_ = std::move(*storage);
    auto volume = co_await identify_volume(*backend_, settings_);
    if (!volume) co_return volume.error();
    auto locks = co_await begin_locks(*volume);
    if (!locks) co_return locks;
    auto options = filesystem_options(settings_);
    auto mapped = co_await begin_mapping(options);
    if (!mapped) co_return mapped;
    options.counters = counters_.get();
    options.state = state_.get();
    filesystem_ =
        std::make_unique<fs::Filesystem>(io_, mapped_ ? *mapped_ : *backend_, *client_, options);
    auto mounted = co_await filesystem_->mount(settings_.mountpoint);
    if (mounted) {
      publish_counters();
      publish_state(*volume);
      control_ =
          std::make_unique<Control>(io_.get_executor(), *client_,
                                    control_path(runtime_directory(), filesystem_->connection()));
      if (guard_) guard_connection();
      co_return boost::system::in_place_value;
    }
    filesystem_.reset();
    co_return Failure{
        kExitMount,
        fmt::format("cannot mount at {}: {}", settings_.mountpoint, mounted.error().message()),
        ::geteuid() == 0 ? "see the log (-o debug shows more)"
                         : "mounting needs root, or fusermount3 and allow_other off"};
  }

  /// -o owner=
  asio::awaitable<Done> begin_mapping(fs::MountOptions& options) {
    const auto wanted = ownership(settings_.options);
    if (!wanted) co_return wanted.error();
    if (!*wanted) co_return boost::system::in_place_value;
    auto mapped = co_await map_owner(*backend_, **wanted);
    if (!mapped) co_return mapped.error();
    mapped_ = std::move(mapped->backend);
    if ((*wanted)->others == fs::OtherOwners::kRefused)
      options.everybody = fs::Credentials{(*wanted)->owner.uid, (*wanted)->owner.gid, {}};
    if (!mapped->may_write && !settings_.options.read_only)
      reporter_.progress(fmt::format(
          "uid {} may not write in {} there; -o identity=UID:GID says as whom the storage is asked",
          mapped->identity.uid, settings_.source_text));
    co_return boost::system::in_place_value;
  }

  /// A directory has no sockets of ours that could be ended (docs/reliability.md).
  Done begin_guard() {
    if (!std::holds_alternative<NfsSource>(settings_.source)) return {};
    guard_ = std::make_unique<fs::guard::SocketGuard>(
        io_.get_executor(), fs::guard::SocketGuard::Options{.label = settings_.mountpoint});
    const auto started = guard_->start();
    if (started) return {};
    return Failure{
        kExitSystem,
        fmt::format("the guardian of this mount does not start: {}", started.error().message()),
        "it is this program itself, started through /proc/self/exe"};
  }

  /// Without it a mount that dies with a thread stuck in the kernel leaves its programs stuck, too;
  /// that is as rare as it is bad, and no reason not to mount.
  void guard_connection() {
    auto file = fs::open_abort_file(filesystem_->connection());
    if (file) return guard_->mounted(std::move(*file));
    log::warn("guard.no_fusectl",
              "connection={} error=\"{}\" note=\"killed, this mount may leave programs hanging\"",
              filesystem_->connection(), file.error().message());
  }

  asio::awaitable<Done> begin_locks(VolumeId volume) {
    fs::LockClientOptions options;
    if (const auto* shared = std::get_if<SharedLockd>(&*settings_.options.lockd)) {
      options.addresses = *shared;
      auto credentials = credentials_for(settings_.options, options.addresses);
      if (!credentials) co_return credentials.error();
      options.credentials = *std::move(credentials);
    } else {
      auto embedded = co_await EmbeddedServer::open(io_.get_executor(), volume);
      if (!embedded) co_return embedded.error();
      embedded_ = std::move(*embedded);
      options.addresses = {embedded_->address()};
      if (embedded_->waits())
        reporter_.progress(
            "the last mount of this volume was killed; locks wait until its lease is over");
      if (std::holds_alternative<NfsSource>(settings_.source))
        log::warn("lockd.embedded_on_nfs", "note=\"only processes of this node are kept apart\"");
    }
    options.volume = volume;
    options.volume_name = volume_name(settings_);
    options.node = host_name();
    options.mountpoint = settings_.mountpoint;
    options.pid = static_cast<std::uint32_t>(::getpid());
    if (std::holds_alternative<NfsSource>(settings_.source))
      options.write_life = fs::nfs3::Options::kUnackedMax;
    options.counters = counters_.get();
    options.state = state_.get();
    options.process_of = [](std::uint32_t pid) { return process_info(pid); };
    if (guard_) options.on_deadline = [this](Instant at) { guard_->deadline(at); };
    options.start_patience = settings_.options.lockd_wait;
    options.tokens = fs::TokenLimits{.tokens_max = kTokensOfAnInode * inodes_max(settings_),
                                     .through = settings_.options.cache == CacheChoice::kNone};
    options.on_progress = [this](std::string_view line) { reporter_.progress(line); };
    auto client = std::make_unique<fs::LockClient>(io_.get_executor(), std::move(options));
    auto started = co_await client->start();
    if (!started) co_return Failure{kExitMount, started.error().what, started.error().hint};
    client_ = std::move(client);
    co_return boost::system::in_place_value;
  }

  void begin_counters() {
    std::error_code ignored;  // then the counters say so
    std::filesystem::create_directories(runtime_directory(), ignored);
    const auto cleared = clear_runtime_directory();
    if (!cleared.empty()) {
      log::info("mount.cleared", "directory={} files={} note=\"of mounts that were killed\"",
                runtime_directory(), fmt::join(cleared, ","));
    }
    counters_ = std::make_unique<fs::counters::Counters>(runtime_directory());
    state_ = std::make_unique<fs::state::State>(runtime_directory());
  }

  void publish_counters() {
    const auto published = counters_->publish(filesystem_->connection());
    if (published) return;
    log::warn("mount.counters_hidden",
              "directory={} error=\"{}\" note=\"holdfast bench cannot count this mount's calls\"",
              runtime_directory(), published.error().message());
  }

  void publish_state(VolumeId volume) {
    state_->identify({.source = settings_.source_text,
                      .mountpoint = settings_.mountpoint,
                      .lockd = lockd_text(settings_),
                      .node = host_name(),
                      .volume = volume});
    const auto published = state_->publish(filesystem_->connection());
    if (published) return;
    log::warn("mount.state_hidden",
              "directory={} error=\"{}\" note=\"holdfast status cannot show this mount\"",
              runtime_directory(), published.error().message());
  }

  /// For people who wonder what this mount has asked of others so far.
  void log_counters() const {
    if (counters_) log::info("mount.counters", "{}", counters_->text());
  }

  asio::awaitable<void> end() {
    if (control_) co_await control_->stop();
    if (client_) co_await client_->stop();
    if (backend_) co_await backend_->stop();
    if (guard_) guard_->stop();
    if (embedded_) co_await embedded_->stop();
    ended_ = true;
    signals_.cancel();
  }

  asio::io_context& io_;
  const MountSettings& settings_;
  Reporter& reporter_;
  asio::signal_set signals_;
  // Built in this order, destroyed in reverse.
  std::unique_ptr<fs::counters::Counters> counters_;
  std::unique_ptr<fs::state::State> state_;
  std::unique_ptr<fs::guard::SocketGuard> guard_;
  std::unique_ptr<fs::Backend> backend_;
  std::unique_ptr<fs::Backend> mapped_;  // over backend_; null without -o owner=
  std::unique_ptr<EmbeddedServer> embedded_;
  std::unique_ptr<fs::LockClient> client_;
  std::unique_ptr<Control> control_;
  std::unique_ptr<fs::Filesystem> filesystem_;
  std::unique_ptr<Presence> presence_;
  bool ended_ = false;
  int exit_code_ = kExitSystem;
  std::optional<Failure> failure_;
};

}  // namespace

int live(const MountSettings& settings, Reporter& reporter) {
  int exit_code = kExitSystem;
  std::optional<Failure> failure;
  {
    asio::io_context io;
    Life life(io, settings, reporter);
    task::Group group(io.get_executor());
    group.spawn("mount", life.run());
    group.spawn("signals", life.watch_signals());
    io.run();
    exit_code = life.exit_code();
    failure = life.failure();
  }
  // Last: the caller may start again at once and must find nothing of ours in its way.
  if (failure) reporter.failed(*failure);
  return exit_code;
}

}  // namespace holdfast::cli
