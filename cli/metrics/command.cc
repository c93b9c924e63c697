#include "cli/metrics/command.h"

#include "cli/metrics/exposition.h"
#include "cli/runtime_directory.h"
#include "holdfast/base/log.h"
#include "holdfast/http/server.h"
#include "holdfast/metrics/families.h"
#include "holdfast/wire/address.h"

#include <csignal>
#include <iostream>
#include <memory>
#include <utility>

#include <CLI/CLI.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

namespace asio = boost::asio;

namespace holdfast::cli {
namespace {

asio::awaitable<http::Answer> answer(std::string path, const MetricsOptions& options) {
  http::Answer out;
  if (path == "/metrics") {
    out.type = metrics::Families::kTextType;
    out.body = mounts_as_metrics(known_mounts(options), boot_time_now());
  } else {
    out.status = path == "/healthz" ? 200 : 404;
    out.body = path == "/healthz" ? "ok\n" : "there are /metrics and /healthz\n";
  }
  co_return out;
}

int serve(const MetricsOptions& options, http::Options server_options, std::ostream& errors) {
  asio::io_context loop(1);
  http::Server server(loop.get_executor(), std::move(server_options),
                      [&](std::string path) { return answer(std::move(path), options); });
  if (const auto opened = server.open(); !opened) {
    errors << "holdfast: cannot listen on " << options.listen << ": " << opened.error().message()
           << "\nhint: give a number of this host and a free port: 127.0.0.1:9681\n";
    return kMetricsCannotListen;
  }
  log::info("metrics.listening", "address={}", server.listening());
  asio::signal_set signals(loop, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code&, int) {
    asio::co_spawn(loop, server.stop(), [](std::exception_ptr) {});
  });
  loop.run();
  return kMetricsOk;
}

}  // namespace

int run_metrics(MetricsOptions options, std::ostream& out, std::ostream& errors) {
  if (options.directories.empty()) options.directories = published_directories();
  if (options.listen.empty()) {
    out << mounts_as_metrics(known_mounts(options), boot_time_now());
    return kMetricsOk;
  }
  const auto address = wire::parse_address(options.listen);
  const auto* tcp = address ? std::get_if<wire::TcpAddress>(&*address) : nullptr;
  if (tcp == nullptr || !options.listen.ends_with(":" + std::to_string(tcp->port))) {
    errors << "holdfast: --listen: give NUMBER:PORT, for example 127.0.0.1:9681\n";
    return kMetricsUsage;
  }
  http::Options server;
  server.address = tcp->host;
  server.port = tcp->port;
  server.names = options.names;
  return serve(options, std::move(server), errors);
}

void register_metrics(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<MetricsOptions>();
  auto* command = app.add_subcommand("metrics",
                                     "What the mounts of this machine count, for "
                                     "Prometheus");
  command->add_option("--listen", options->listen,
                      "Serve /metrics at NUMBER:PORT, usually 127.0.0.1:9681. Without it: print "
                      "once and exit");
  command
      ->add_option("--name", options->names,
                   "Name of this host by which it may be asked for, beside its numbers and "
                   "'localhost'; repeatable")
      ->allow_extra_args(false);
  command
      ->add_option("--directory", options->directories,
                   "Where mounts publish; repeatable. Default: /run/holdfast, and the user's "
                   "own")
      ->allow_extra_args(false);
  command
      ->add_option("--mountinfo", options->mountinfo,
                   "The table of mounts, for their names; in a container the host's")
      ->capture_default_str();
  command->footer(
      "Asks no mount: one that hangs is shown as well as any other.\n"
      "Exit status: 0 done or stopped, 1 cannot listen, 2 wrong usage.");
  command->callback(
      [options, &exit_code] { exit_code = run_metrics(*options, std::cout, std::cerr); });
}

}  // namespace holdfast::cli
