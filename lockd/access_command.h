#pragma once
/// holdfast-lockd access: adds, lists and removes credentials.

#include <functional>

namespace CLI {
class App;
}

namespace holdfast::lockd {

/// Adds the subcommands; `command` is set when one was asked for, and gives an exit code.
void register_access(CLI::App& app, std::function<int()>& command);

}  // namespace holdfast::lockd
