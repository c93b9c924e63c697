#pragma once
/// Locks as people ask about them: by process, and who waits behind whom. Pure.

#include "holdfast/lock/message.h"

#include <cstddef>
#include <string>
#include <vector>

namespace holdfast::cli {

struct LockView : LockInfo {
  bool here = false;  ///< decided by the mount, unknown to lockd
  ProcessInfo process;
  /// Of who waits: indices of those it waits for. Holders that are in its way; and who came
  /// earlier, waits as well, and conflicts with it.
  std::vector<std::size_t> behind;
};

[[nodiscard]] std::vector<LockView> views_of(const std::vector<LockInfo>& locks);
/// lockd's locks with the processes that mounts told of, and what mounts have decided themselves.
[[nodiscard]] std::vector<LockView> views_of(const WhoAnswer& answer);

/// Fills in `behind`. Two of one owner never are in each other's way.
void find_behind(std::vector<LockView>& locks);

/// "PENDING", "0-511", "whole file"; with " of -shm" for locks of a database's wal-index, where one
/// can tell.
[[nodiscard]] std::string what_text(const LockView& lock, const std::vector<LockView>& all);
/// "4711 vaultwarden", "4711 (ended)", "4711", "-".
[[nodiscard]] std::string process_text(const LockView& lock);
/// "vault/vaultwarden-0", "pod 01234567-...", "-".
[[nodiscard]] std::string pod_text(const ProcessInfo& process);

}  // namespace holdfast::cli
