#pragma once
/// `holdfast locks`, `holdfast waiters` and `holdfast sessions`: what lockd knows, from its admin
/// socket.
///
/// Without --socket every lockd on this machine is asked: holdfast-lockd, and those inside mounts
/// with `lockd=embedded`.

#include <iosfwd>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace holdfast::cli {

struct AdminOptions {
  std::vector<std::string> sockets;  ///< paths; empty = all on this machine
  bool json = false;
};

// Exit codes.
inline constexpr int kAdminOk = 0;
inline constexpr int kAdminUnreachable = 1;  ///< no lockd answered; one line on `errors` each

[[nodiscard]] int run_locks(const AdminOptions& options, std::ostream& out, std::ostream& errors);
[[nodiscard]] int run_waiters(const AdminOptions& options, std::ostream& out, std::ostream& errors);
[[nodiscard]] int run_sessions(const AdminOptions& options, std::ostream& out,
                               std::ostream& errors);

/// Adds the sub-commands. When one was chosen, parsing runs it and sets `exit_code`, which must
/// outlive the parse.
void register_locks(CLI::App& app, int& exit_code);
void register_waiters(CLI::App& app, int& exit_code);
void register_sessions(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
