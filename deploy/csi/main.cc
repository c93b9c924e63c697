// holdfast-csi: command line, signals, and the services that this role has.
#include "deploy/csi/node/prober.h"
#include "deploy/csi/server/controller.h"
#include "deploy/csi/server/identity.h"
#include "deploy/csi/server/node.h"
#include "deploy/csi/settings.h"
#include "holdfast/base/log.h"

#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <string_view>

#include <grpc/support/time.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

namespace holdfast::csi {
namespace {

// Calls that are being worked on may end; whoever waits longer asks again.
constexpr int kFarewellSeconds = 5;
constexpr int kRequestBytesMax = 1 << 20;
constexpr int kThreadsMax = 128;

int serve(const Settings& settings, const sigset_t& ends) {
  IdentityService identity;
  ControllerService controller;
  NodeService node(settings.node_id, settings.node);
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(settings.endpoint, grpc::InsecureServerCredentials(), &bound);
  builder.SetMaxReceiveMessageSize(kRequestBytesMax);
  grpc::ResourceQuota quota("holdfast-csi");
  quota.SetMaxThreads(kThreadsMax);  // calls wait in their threads; more are refused
  builder.SetResourceQuota(quota);
  builder.RegisterService(&identity);
  if (settings.role != Role::kNode) builder.RegisterService(&controller);
  if (settings.role != Role::kController) builder.RegisterService(&node);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) {
    std::cerr << "holdfast-csi: cannot listen at " << settings.socket_path
              << ": does its directory exist, and may we write there?\n";
    return kExitStart;
  }
  log::info("csi.started", "endpoint={} node={}", settings.endpoint, settings.node_id);
  int signal = 0;
  ::sigwait(&ends, &signal);
  log::info("csi.stopping", "signal={} note=\"mounts go on\"", signal);
  server->Shutdown(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                gpr_time_from_seconds(kFarewellSeconds, GPR_TIMESPAN)));
  ::unlink(settings.socket_path.c_str());
  return kExitClean;
}

}  // namespace
}  // namespace holdfast::csi

int main(int argc, char** argv) {
  // Before anything else: this is run for each question to a mount.
  if (argc == 3 && std::string_view(argv[1]) == "--probe")
    return holdfast::csi::probe_main(argv[2]);
  const holdfast::csi::Parsed parsed = holdfast::csi::parse_command_line(argc, argv);
  if (!parsed.settings) return parsed.exit_code;
  holdfast::log::configure(parsed.settings->log);
  // All threads of gRPC inherit this: signals come to sigwait() alone.
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return holdfast::csi::serve(*parsed.settings, ends);
  } catch (const std::exception& error) {
    std::cerr << "holdfast-csi: " << error.what() << '\n';
    return holdfast::csi::kExitStart;
  }
}
