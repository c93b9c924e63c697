// `holdfast torture` alone, without the rest of the command line: what the tests run.

#include "cli/torture/torture.h"

#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  CLI::App app("holdfast torture, alone", "holdfast-torture-dev");
  int exit_code = holdfast::torture::kExitUsage;
  holdfast::torture::register_torture(app, exit_code);
  app.require_subcommand(1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : holdfast::torture::kExitUsage;
  }
  return exit_code;
}
