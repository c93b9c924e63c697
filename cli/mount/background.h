#pragma once
/// Life as a daemon: leaving the user's terminal, logs, and not being killed for memory first.

#include "cli/mount/failure.h"
#include "cli/mount/report.h"
#include "cli/mount/settings.h"

#include <string>

#include <boost/system/result.hpp>

namespace holdfast::cli {

/// Sends stderr, where log lines go, to `target`. kDefault: /var/log/holdfast/<mountpoint>.log for
/// root, else the user's state directory. Returns where, for people.
[[nodiscard]] boost::system::result<std::string, Failure> redirect_log(
    const LogTarget& target, const std::string& mountpoint);
/// Opens a log file anew (after rotation). No-op for others.
void reopen_log(const LogTarget& target, const std::string& mountpoint);

/// stdin and stdout to nowhere, own session, root directory.
void leave_terminal();
/// Locks of other nodes hang on this process: the last to be killed for memory, and many files.
void protect_process();

}  // namespace holdfast::cli
