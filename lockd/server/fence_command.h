#pragma once
/// The administrator's fence command: a program that keeps a mount from writing, for example by
/// taking its address off the export. Run without a shell.
///
/// Succeeded means exit status 0 within the time limit, nothing else: only then may what the mount
/// held be given away. At the limit its process group is killed. What it prints goes to the log.
///
/// Thread: the executor's thread only.

#include "lockd/core/records.h"

#include <chrono>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace holdfast::lockd {

struct FenceCommand {
  /// Program (with a path, or found in PATH) and arguments. In each, {address}, {session},
  /// {volume}, {volume_name} and {node} stand for the victim's.
  std::vector<std::string> argv;
  std::chrono::milliseconds time_max{30'000};
};

/// Why `argv` cannot be a fence command, or nothing: an unknown {placeholder}, no program.
[[nodiscard]] std::string fence_command_error(const std::vector<std::string>& argv);

/// Each argument stays one argument. Names come from the network: control characters become '?',
/// and no argument that does not begin with '-' by itself does so because of a name.
[[nodiscard]] std::vector<std::string> expand_fence_command(const std::vector<std::string>& argv,
                                                            const SessionRecord& victim);

/// Runs it to its end. True: succeeded. Cancelled: killed, false or operation_aborted.
[[nodiscard]] boost::asio::awaitable<bool> run_fence_command(boost::asio::any_io_executor executor,
                                                             FenceCommand command,
                                                             SessionRecord victim);

}  // namespace holdfast::lockd
