// A mount of a plain directory with locks at a running lockd, for tests:
//   holdfast-test-mount DIRECTORY MOUNTPOINT LOCKD_ADDRESS
// HOLDFAST_TEST_CACHE=tokens: as -o cache=tokens; else as cache=none.
// HOLDFAST_TEST_INODES_MAX=N: as -o inodes_max=N.
// HOLDFAST_TEST_HELD_CHANGES: see held_changes.h.
// HOLDFAST_TEST_LOOPING_LISTINGS: see looping_listings.h.
// SIGHUP: writes how many inodes the kernel remembers to DIRECTORY/inodes.
// Prints "mounted" and serves until it is unmounted or gets SIGTERM. Exit 0 after a clean unmount.
#include "fs/backend/dir/dir_backend.h"
#include "fs/fuse/filesystem.h"
#include "fs/lock/lock_client.h"
#include "holdfast/base/log.h"
#include "tests/support/fuse/forgetful_storage.h"
#include "tests/support/fuse/held_changes.h"
#include "tests/support/fuse/looping_listings.h"
#include "tests/support/fuse/slow_attributes.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <unistd.h>

namespace asio = boost::asio;
using namespace holdfast;
using namespace std::string_view_literals;

namespace {

struct Arguments {
  std::string directory, mountpoint, lockd;
};

asio::awaitable<int> serve(asio::io_context& loop, Arguments arguments) {
  auto backend = fs::make_dir_backend(loop.get_executor(), arguments.directory);
  const auto address = wire::parse_address(arguments.lockd);
  if (!backend || !address) co_return 2;
  fs::LockClientOptions lock_options;
  lock_options.addresses = {*address};
  lock_options.volume = VolumeId{1};
  lock_options.volume_name = arguments.directory;
  lock_options.node = "test";
  lock_options.mountpoint = arguments.mountpoint;
  lock_options.pid = static_cast<std::uint32_t>(::getpid());
  lock_options.start_patience = std::chrono::seconds(20);
  const char* const cache = std::getenv("HOLDFAST_TEST_CACHE");
  lock_options.tokens = fs::TokenLimits{.through = cache == nullptr || cache != "tokens"sv};
  fs::LockClient locks(loop.get_executor(), lock_options);
  const auto started = co_await locks.start();
  if (!started) {
    std::cerr << started.error().what << '\n';
    co_return 3;
  }
  fs::MountOptions options;
  options.fsname = arguments.directory;
  options.keep = true;
  options.close_wait_max = std::chrono::milliseconds(3000);
  if (const char* const most = std::getenv("HOLDFAST_TEST_INODES_MAX"))
    options.inodes_max = static_cast<std::size_t>(std::atoi(most));
  int code = 4;
  {
    const char* const slow = std::getenv("HOLDFAST_TEST_SLOW_ATTRIBUTES_MS");
    const std::chrono::milliseconds delay(slow != nullptr ? std::atoi(slow) : 0);
    test::SlowAttributes slow_storage(loop.get_executor(), **backend, delay);
    test::ForgetfulStorage forgetful(loop.get_executor(), **backend);
    const bool forgets = std::getenv("HOLDFAST_TEST_FORGETFUL") != nullptr;
    test::HeldChanges held(loop.get_executor(), slow_storage, arguments.directory);
    const bool holds = std::getenv("HOLDFAST_TEST_HELD_CHANGES") != nullptr;
    test::LoopingListings looping(loop.get_executor(), slow_storage);
    const bool loops = std::getenv("HOLDFAST_TEST_LOOPING_LISTINGS") != nullptr;
    fs::Backend& storage = forgets ? static_cast<fs::Backend&>(forgetful)
                           : holds ? static_cast<fs::Backend&>(held)
                           : loops ? static_cast<fs::Backend&>(looping)
                                   : slow_storage;
    fs::Filesystem filesystem(loop, storage, locks, options);
    asio::signal_set restart(loop, SIGUSR1);
    restart.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      forgetful.restart();
      std::ofstream(arguments.directory + "/restarted") << "once";
    });
    asio::signal_set fill(loop, SIGUSR2);
    const std::function<void()> wait_for_fill = [&] {
      fill.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        forgetful.full = !forgetful.full;
        std::ofstream(arguments.directory + (forgetful.full ? "/full" : "/space")) << "yes";
        wait_for_fill();
      });
    };
    wait_for_fill();
    asio::signal_set count(loop, SIGHUP);
    const std::function<void()> wait_for_count = [&] {
      count.async_wait([&](const boost::system::error_code& error, int) {
        if (error) return;
        const std::string file = arguments.directory + "/inodes";
        std::ofstream(file + ".new") << filesystem.inodes();
        std::filesystem::rename(file + ".new", file);
        wait_for_count();
      });
    };
    wait_for_count();
    asio::signal_set signals(loop, SIGTERM, SIGINT);
    const auto mounted = co_await filesystem.mount(arguments.mountpoint);
    if (mounted) {
      signals.async_wait([&](const boost::system::error_code& error, int) {
        if (!error) filesystem.request_unmount();
      });
      std::puts("mounted");
      std::fflush(stdout);
      co_await filesystem.run();
      code = 0;
    } else {
      std::cerr << mounted.error().message() << '\n';
    }
    signals.cancel();
    restart.cancel();
    fill.cancel();
    count.cancel();
  }
  co_await locks.stop();
  co_await (*backend)->stop();
  co_return code;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  log::Options logging;
  if (const char* level = std::getenv("HOLDFAST_TEST_LOG"); level != nullptr && *level == 'd')
    logging.level = log::Level::kDebug;
  log::configure(logging);
  int code = 1;
  asio::io_context loop(1);
  asio::co_spawn(loop, serve(loop, Arguments{argv[1], argv[2], argv[3]}),
                 [&](std::exception_ptr failure, int result) {
                   if (!failure) code = result;
                   loop.stop();
                 });
  loop.run();
  return code;
}
