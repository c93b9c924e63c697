#pragma once
/// holdfast-lockd init: certificates, a first token and a configuration, so that the secure way is
/// the short way.

#include <functional>

namespace CLI {
class App;
}

namespace holdfast::lockd {

inline constexpr const char* kDefaultTlsDirectory = "/var/lib/holdfast/tls";

/// Adds the subcommand; `command` is set when it was asked for, and gives an exit code.
void register_init(CLI::App& app, std::function<int()>& command);

}  // namespace holdfast::lockd
