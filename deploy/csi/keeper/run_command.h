#pragma once
/// Runs `holdfast` and keeps what it says.

#include "deploy/csi/keeper/protocol.h"

#include <string>
#include <vector>

namespace holdfast::csi {

/// Waits for its end, not for that of the mount it leaves behind.
[[nodiscard]] KeeperAnswer run_command(const std::string& program,
                                       const std::vector<std::string>& arguments);

}  // namespace holdfast::csi
