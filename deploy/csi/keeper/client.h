#pragma once
/// The driver's side of the keeper. Thread: any; blocks until the answer is there.

#include "deploy/csi/core/refusal.h"
#include "deploy/csi/keeper/protocol.h"

#include <chrono>
#include <string>
#include <vector>

namespace holdfast::csi {

/// Errors: kUnavailable (no keeper), kDeadlineExceeded (the command goes on; ask again).
[[nodiscard]] Answer<KeeperAnswer> ask_keeper(const std::string& socket_path,
                                              const std::vector<std::string>& request,
                                              std::chrono::milliseconds patience);

}  // namespace holdfast::csi
