// holdfast-lockd: command line, files and the loop. Its parts are wired in life.cc.
#include "holdfast/base/log.h"
#include "lockd/credentials.h"
#include "lockd/life.h"
#include "lockd/service_manager.h"
#include "lockd/settings.h"
#include "lockd/store/etcd/etcd_store.h"
#include "lockd/store/sqlite_store.h"

#include <csignal>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

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

void complain(const holdfast::wire::StartFailure& failure) {
  std::cerr << "holdfast-lockd: " << failure.what << '\n';
  if (!failure.hint.empty()) std::cerr << "hint: " << failure.hint << '\n';
}

int serve(lockd::Settings settings, lockd::ServiceManager manager) {
  make_default_directories(settings);
  if (const auto opened = lockd::open_credentials(settings); !opened) {
    complain(opened.error());
    return lockd::kExitUsage;  // as wrong a second later
  }
  asio::io_context loop(1);
  lockd::Lives lives(loop, std::move(settings), std::move(manager));
  auto exit_code = asio::co_spawn(loop, lives.run(&complain), asio::use_future);
  loop.run();
  return exit_code.get();
}

int create_store(const lockd::Settings& settings) {
  const auto created = settings.etcd ? lockd::EtcdStore::create_settled(*settings.etcd)
                                     : lockd::SqliteStore::create_settled(settings.store);
  if (!created) {
    complain(created.error());
    return lockd::kExitStart;
  }
  std::cout << "created " << settings.store
            << ": the first holdfast-lockd with it serves at once\n";
  return lockd::kExitClean;
}

}  // namespace

int main(int argc, char** argv) {
  lockd::Parsed parsed = lockd::parse_command_line(argc, argv);
  if (parsed.command) return parsed.command();
  if (!parsed.settings) return parsed.exit_code;
  lockd::Settings& settings = *parsed.settings;
  holdfast::log::configure(settings.log);
  lockd::ServiceManager manager = lockd::ServiceManager::from_environment();
  // A file size limit is an error of the store (setrlimit(2), RLIMIT_FSIZE), not our death.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    if (settings.etcd) {
      auto secrets = lockd::read_secrets(settings.etcd_access);
      if (!secrets) {
        complain(secrets.error());
        return lockd::kExitStart;
      }
      settings.etcd->secrets = *std::move(secrets);
    }
    if (settings.new_volume) {
      make_default_directories(settings);
      return create_store(settings);
    }
    return serve(std::move(settings), std::move(manager));
  } catch (const std::exception& error) {
    std::cerr << "holdfast-lockd: " << error.what() << '\n';
    return lockd::kExitStart;
  }
}
