#include "cli/events/command.h"

#include "cli/runtime_directory.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <iostream>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLookMin{500};
constexpr milliseconds kLookMax{5'000};

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "?";
}

timespec as_timespec(milliseconds span) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(span);
  return {seconds.count(), std::chrono::nanoseconds(span - seconds).count()};
}

/// True: told to end.
bool wait_for_the_end(const sigset_t& ends, milliseconds most) {
  const timespec span = as_timespec(most);
  return ::sigtimedwait(&ends, nullptr, &span) > 0;
}

/// "10.0.0.1:443", "[fd00::1]:443".
bool take_place(const std::string& text, ApiPlace& place) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) return false;
  place.host = text.substr(0, colon);
  place.port = text.substr(colon + 1);
  if (place.host.size() > 2 && place.host.front() == '[' && place.host.back() == ']')
    place.host = place.host.substr(1, place.host.size() - 2);
  return place.port.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

int run_events(EventsOptions options, std::ostream& errors) {
  if (options.api.host.empty()) {
    errors << "holdfast: this is no pod of Kubernetes (KUBERNETES_SERVICE_HOST is not set): there "
              "is nobody to tell\nhint: the Helm chart runs it where it belongs; --api HOST:PORT "
              "names an API server\n";
    return kEventsNoKubernetes;
  }
  if (options.directories.empty()) options.directories = published_directories();
  if (options.node.empty()) options.node = host_name();
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::sigprocmask(SIG_BLOCK, &ends, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  log::info("events.started", "after_ms={} api={}:{} node={}", options.after.count(),
            options.api.host, options.api.port, options.node);
  Watch watch(options);
  const milliseconds pause = std::clamp(options.after / 4, kLookMin, kLookMax);
  while (!wait_for_the_end(ends, pause))
    watch.look();
  return kEventsOk;
}

void register_events(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<EventsOptions>();
  options->api = place_of_this_pod();
  auto api = std::make_shared<std::string>();
  auto* command = app.add_subcommand(
      "events", "Tell pods of this node that wait for a lock who has it, as Events of Kubernetes");
  command
      ->add_option_function<double>(
          "--after",
          [options](double seconds) {
            options->after = milliseconds(static_cast<long>(seconds * 1'000));
          },
          "Seconds that a pod has waited when it is told")
      ->check(CLI::Range(1.0, 86'400.0))
      ->default_str("30");
  command->add_option("--node", options->node,
                      "Name of this node in Kubernetes; default: the host's");
  command->add_option("--api", *api,
                      "HOST:PORT of the API server; default: this pod's environment");
  command->add_option("--token", options->api.token_file, "Service account token, read each time")
      ->capture_default_str();
  command->add_option("--ca", options->api.ca_file, "Certificate of the cluster's CA")
      ->capture_default_str();
  command
      ->add_option("--directory", options->directories,
                   "Where mounts publish; repeatable. Default: /run/holdfast, and the user's own")
      ->allow_extra_args(false);
  command->footer(
      "Runs until SIGTERM or SIGINT. Nothing that locks waits for it or for the API server.\n"
      "Exit status: 0 stopped, 1 not in Kubernetes, 2 wrong usage.");
  command->callback([options, api, &exit_code] {
    if (!api->empty() && !take_place(*api, options->api)) {
      std::cerr << "holdfast: --api: give HOST:PORT, for example 10.0.0.1:443\n";
      exit_code = kEventsUsage;
      return;
    }
    exit_code = run_events(*options, std::cerr);
  });
}

}  // namespace holdfast::cli
