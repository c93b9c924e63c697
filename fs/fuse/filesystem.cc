#include "fs/fuse/filesystem.h"

#include "fs/cache/caching_backend.h"
#include "fs/fuse/dispatch.h"
#include "fs/fuse/notifier.h"
#include "fs/fuse/operations.h"
#include "fs/fuse/readahead.h"
#include "fs/fuse/session.h"
#include "holdfast/base/clock.h"
#include "holdfast/base/log.h"

#include <utility>

#include <boost/asio/steady_timer.hpp>

namespace asio = boost::asio;

namespace holdfast::fs {

struct Filesystem::State {
  State(asio::io_context& context, Backend& storage, LockService& lock_service,
        MountOptions mount_options)
      : options(std::move(mount_options)),
        loop(context.get_executor()),
        locks(lock_service),
        cache(options.keep ? std::make_unique<CachingBackend>(storage, lock_service,
                                                              options.kept_ages, boot_time_now)
                           : nullptr),
        operations(loop, cache ? *cache : storage, cache.get(), lock_service, options),
        session(loop, options.background_max, options.counters, options.state),
        notifier(loop, {.drop_pages = [this](NodeId node) { session.drop_pages(node); },
                        .adopt_size = [this](NodeId node) { return session.adopt_size(node); },
                        .drop_attributes = [this](NodeId node) { session.drop_attributes(node); },
                        .give_back = [this] { session.give_back(); }}),
        deadline(loop),
        serving(loop) {
    if (cache) cache->keep_at_most(options.inodes_max);
    user.session = &session;
    user.operations = &operations;
    operations.use(&notifier);
  }

  [[nodiscard]] std::vector<std::string> mount_options() const;
  asio::awaitable<void> end(std::chrono::milliseconds patience);

  const MountOptions options;
  const asio::any_io_executor loop;
  LockService& locks;
  const std::unique_ptr<CachingBackend> cache;
  SessionUser user;
  Operations operations;
  Session session;
  Notifier notifier;
  asio::steady_timer deadline;
  task::Group serving;
};

std::vector<std::string> Filesystem::State::mount_options() const {
  std::string name;
  for (const char c : options.fsname) {
    if (c == ',' || c == '\\') name += '\\';  // libfuse splits at commas
    name += c;
  }
  std::vector<std::string> all{"fsname=" + name, "subtype=holdfast", "default_permissions",
                               "max_read=" + std::to_string(Session::kWriteMax)};
  if (options.allow_other) all.emplace_back("allow_other");
  if (options.read_only) all.emplace_back("ro");
  all.insert(all.end(), options.kernel_options.begin(), options.kernel_options.end());
  return all;
}

asio::awaitable<void> Filesystem::State::end(std::chrono::milliseconds patience) {
  co_await operations.finish(patience);
  locks.listen({});
  notifier.stop();
  session.close();
}

Filesystem::Filesystem(asio::io_context& loop, Backend& backend, LockService& locks,
                       MountOptions options)
    : state_(std::make_unique<State>(loop, backend, locks, std::move(options))) {}

Filesystem::~Filesystem() = default;

asio::awaitable<Result<void>> Filesystem::mount(std::string path) {
  State& state = *state_;
  LockService::Listener listener;
  listener.suspended = [&state] { state.operations.suspended(); };
  listener.resumed = [&state] { state.operations.resumed(); };
  listener.lost = [&state](const Loss& loss) {
    if (loss.everything) return state.operations.lost();
    state.operations.lost_files(loss.files);
  };
  listener.drain = [&state](const Drain& drain) { state.operations.drain(drain); };
  listener.tokens_lost = [&state](const std::vector<FileKey>& files) {
    state.operations.tokens_lost(files);
  };
  state.locks.listen(std::move(listener));
  Result<void> ready = co_await state.operations.prepare();
  if (ready) {
    ready = state.session.mount(path, state.mount_options(), operation_table(), &state.user);
    if (!ready) {
      log::error("fuse.mount_refused", "path={} error=\"{}\"", path, ready.error().message());
    }
  }
  if (ready) {
    state.serving.spawn("fuse.serve", state.session.serve());
    ready = co_await state.session.negotiated();
    if (ready) {
      state.notifier.start();
      set_readahead(state.session.connection(), state.options.readahead_kib);
      state.operations.use_device("0:" + state.session.connection());
      log::info("fuse.mounted", "path={} source={}", path, state.options.fsname);
      co_return ready;
    }
    log::error("fuse.mount_refused",
               "path={} error=\"the kernel would keep file locks on this node to itself\"", path);
    state.session.detach();
    state.session.close();
    state.serving.cancel();
    co_await state.serving.join();
  }
  co_await state.end(std::chrono::milliseconds(0));
  co_return ready;
}

asio::awaitable<void> Filesystem::run() {
  State& state = *state_;
  co_await state.serving.join();
  state.deadline.cancel();
  co_await state.end(state.options.close_wait_max);
  log::info("fuse.unmounted", "source={}", state.options.fsname);
}

const std::string& Filesystem::connection() const {
  return state_->session.connection();
}

std::size_t Filesystem::inodes() const {
  return state_->operations.inodes();
}

void Filesystem::request_unmount() {
  State& state = *state_;
  state.session.detach();
  state.deadline.expires_after(state.options.unmount_wait_max);
  state.deadline.async_wait([&state](const boost::system::error_code& stopped) {
    if (stopped) return;
    log::warn("fuse.unmount_forced", "reason=files_in_use");
    // Aborted, the kernel ends the session by itself, and no notifier stays stuck in it.
    if (!state.session.abort()) state.serving.cancel();
  });
}

}  // namespace holdfast::fs
