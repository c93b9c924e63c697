// holdfast-lockd: one loop, one server. The parts are wired here and nowhere else.
#include "holdfast/base/log.h"
#include "lockd/server/identity.h"
#include "lockd/server/server.h"
#include "lockd/settings.h"
#include "lockd/store/memory_store.h"
#include "lockd/store/sqlite_store.h"

#include <csignal>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace asio = boost::asio;
namespace lockd = holdfast::lockd;

namespace {

// Directories of default paths; what is said elsewhere must exist. The use that follows says what
// is wrong.
void make_default_directories(const lockd::Settings& settings) {
  namespace stdfs = std::filesystem;
  std::error_code ignored;
  if (settings.server.admin_path == lockd::kDefaultAdminPath) {
    stdfs::create_directory(stdfs::path(lockd::kDefaultAdminPath).parent_path(), ignored);
  }
  if (settings.store == lockd::kDefaultStore) {
    const auto directory = stdfs::path(lockd::kDefaultStore).parent_path();
    if (stdfs::create_directory(directory, ignored)) {
      stdfs::permissions(directory, stdfs::perms::owner_all, ignored);
    }
  }
}

std::unique_ptr<lockd::Store> make_store(const lockd::Settings& settings,
                                         const asio::any_io_executor& executor) {
  if (settings.store == lockd::kMemoryStore) {
    holdfast::log::warn("lockd.no_stable_storage",
                        "meaning=\"a restart takes all locks from their holders\"");
    return std::make_unique<lockd::MemoryStore>(std::make_shared<lockd::Contents>(),
                                                lockd::wall_seconds());
  }
  return std::make_unique<lockd::SqliteStore>(executor, settings.store, lockd::wall_seconds());
}

int complain(const holdfast::wire::StartFailure& failure) {
  std::cerr << "holdfast-lockd: " << failure.what << '\n';
  if (!failure.hint.empty()) std::cerr << "hint: " << failure.hint << '\n';
  return lockd::kExitStart;
}

std::string fence_text(const lockd::Options& options) {
  std::string out;
  for (const lockd::FenceStep step : options.fence) {
    if (!out.empty()) out += ',';
    out += step == lockd::FenceStep::kWaitOut ? "wait-out" : "command";
  }
  return out;
}

void announce(const lockd::Server& server, const lockd::ServerOptions& options) {
  std::string addresses;
  for (const auto& address : server.listening()) {
    if (!addresses.empty()) addresses += ',';
    addresses += holdfast::wire::to_string(address);
  }
  const lockd::Options& core = options.coordinator;
  // What a wait-out takes from the last renewal on, for a mount with the usual write_life.
  const auto bound = core.lease_ttl + core.write_life_default + core.storage_delay;
  holdfast::log::info("lockd.started",
                      "addresses={} epoch={} lease_ttl_ms={} fence={} wait_out_ms={} grace={}",
                      addresses, server.epoch().value, core.lease_ttl.count(), fence_text(core),
                      bound.count(), server.coordinator().status().grace ? "yes" : "no");
}

int serve(const lockd::Settings& settings) {
  asio::io_context loop(1);
  make_default_directories(settings);
  lockd::Server server(loop.get_executor(), settings.server,
                       make_store(settings, loop.get_executor()));
  int exit_code = lockd::kExitClean;
  bool serving = false;
  asio::cancellation_signal give_up;
  asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    holdfast::log::info("lockd.stopping", "signal={}", number);
    if (!serving) return give_up.emit(asio::cancellation_type::terminal);
    asio::co_spawn(loop, server.stop(), [](std::exception_ptr) {});
  });
  const auto opened = [&](std::exception_ptr thrown, holdfast::wire::Started started) {
    if (thrown) return signals.cancel();  // given up
    if (!started) {
      exit_code = complain(started.error());
      return signals.cancel();
    }
    serving = true;
    announce(server, settings.server);
  };
  asio::co_spawn(loop, server.open(), asio::bind_cancellation_slot(give_up.slot(), opened));
  loop.run();
  if (exit_code == lockd::kExitClean) holdfast::log::info("lockd.stopped", "");
  return exit_code;
}

int create_store(const std::string& path) {
  if (auto created = lockd::SqliteStore::create_settled(path); !created) {
    return complain(created.error());
  }
  std::cout << "created " << path << ": the first holdfast-lockd with it serves at once\n";
  return lockd::kExitClean;
}

}  // namespace

int main(int argc, char** argv) {
  const lockd::Parsed parsed = lockd::parse_command_line(argc, argv);
  if (!parsed.settings) return parsed.exit_code;
  holdfast::log::configure(parsed.settings->log);
  // A file size limit is an error of the store (setrlimit(2), RLIMIT_FSIZE), not our death.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    if (parsed.settings->new_volume) {
      make_default_directories(*parsed.settings);
      return create_store(parsed.settings->store);
    }
    return serve(*parsed.settings);
  } catch (const std::exception& error) {
    std::cerr << "holdfast-lockd: " << error.what() << '\n';
    return lockd::kExitStart;
  }
}
