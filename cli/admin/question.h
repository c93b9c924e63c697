#pragma once
/// One question to a lockd's admin socket, and its answer.

#include "holdfast/base/result.h"
#include "holdfast/lock/message.h"

#include <iosfwd>
#include <string>
#include <vector>

namespace holdfast::cli {

struct AdminOptions;

/// Connects, asks, disconnects; 10 seconds each at most.
[[nodiscard]] Result<ServerMessage> ask(const std::string& path, const ClientMessage& question);

/// The lockd at `path` is not the active one: says so in one line.
[[nodiscard]] bool said_standby(const std::string& path, const ServerMessage& answer,
                                std::ostream& errors);

/// Those given, else those of every lockd on this machine. None: one line and a hint on `errors`.
[[nodiscard]] std::vector<std::string> sockets_to_ask(const AdminOptions& options,
                                                      std::ostream& errors);

}  // namespace holdfast::cli
