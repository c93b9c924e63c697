// holdfast-csi-keeper: command line only.
#include "deploy/csi/keeper/keeper.h"
#include "deploy/csi/keeper/protocol.h"
#include "holdfast/base/log.h"

#include <string>

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  holdfast::csi::KeeperOptions options{holdfast::csi::kKeeperSocket, "holdfast"};
  std::string format = "text";
  CLI::App app("Starts the mounts of holdfast-csi, which outlive the driver",
               "holdfast-csi-keeper");
  app.set_version_flag("--version", std::string("holdfast-csi-keeper ") + HOLDFAST_VERSION);
  app.add_option("--socket", options.socket_path, "Where the driver of this node asks")
      ->capture_default_str();
  app.add_option("--holdfast", options.program, "The program holdfast")->capture_default_str();
  app.add_option("--log-format", format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.footer(
      "Exit codes: 0 stopped by SIGTERM or SIGINT (mounts go on, unless this is the first process "
      "of a container), 1 cannot start, 2 wrong usage.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  holdfast::log::Options log;
  if (format == "json") log.format = holdfast::log::Format::kJson;
  holdfast::log::configure(log);
  return holdfast::csi::keep(options);
}
