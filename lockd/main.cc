// holdfast-lockd: one loop, one server. The parts are wired here and nowhere else.
#include "holdfast/base/log.h"
#include "lockd/server/server.h"
#include "lockd/settings.h"

#include <filesystem>
#include <iostream>
#include <string>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace asio = boost::asio;
namespace lockd = holdfast::lockd;

namespace {

// The default socket's directory lies in /run and is gone after a reboot.
void make_default_directory(const lockd::ServerOptions& options) {
  if (options.admin_path != lockd::kDefaultAdminPath) return;
  std::error_code ignored;  // the bind that follows says what is wrong
  std::filesystem::create_directory(std::filesystem::path(*options.admin_path).parent_path(),
                                    ignored);
}

void announce(const lockd::Server& server, const lockd::ServerOptions& options) {
  std::string addresses;
  for (const auto& address : server.listening()) {
    if (!addresses.empty()) addresses += ',';
    addresses += holdfast::wire::to_string(address);
  }
  holdfast::log::info("lockd.started", "addresses={} epoch={} lease_ttl_ms={} former_life={}",
                      addresses, server.epoch().value, options.coordinator.lease_ttl.count(),
                      options.former_life ? "yes" : "no");
}

int serve(const lockd::ServerOptions& options) {
  asio::io_context loop(1);
  lockd::Server server(loop.get_executor(), options);
  make_default_directory(options);
  if (const auto opened = server.open(); !opened) {
    std::cerr << "holdfast-lockd: " << opened.error().what << '\n';
    if (!opened.error().hint.empty()) std::cerr << "hint: " << opened.error().hint << '\n';
    return lockd::kExitStart;
  }
  announce(server, options);
  asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    holdfast::log::info("lockd.stopping", "signal={}", number);
    asio::co_spawn(loop, server.stop(), [](std::exception_ptr) {});
  });
  loop.run();
  holdfast::log::info("lockd.stopped", "");
  return lockd::kExitClean;
}

}  // namespace

int main(int argc, char** argv) {
  const lockd::Parsed parsed = lockd::parse_command_line(argc, argv);
  if (!parsed.settings) return parsed.exit_code;
  holdfast::log::configure(parsed.settings->log);
  try {
    return serve(parsed.settings->server);
  } catch (const std::exception& error) {
    std::cerr << "holdfast-lockd: " << error.what() << '\n';
    return lockd::kExitStart;
  }
}
