#pragma once
/// Who a request comes from: credentials, and what kind of lock call its thread is in.
///
/// Thread: the loop.

#include "fs/backend/types.h"
#include "fs/fuse/fuse_api.h"
#include "holdfast/lock/types.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

namespace holdfast::fs {

/// The supplementary groups are not in a FUSE request: libfuse reads them from the thread's status
/// file, some 20 us. So they are kept for a second by (thread, uid, gid): a thread that changes its
/// groups alone is believed its old ones that long.
class CallerGroups {
 public:
  static constexpr std::chrono::seconds kKeep{1};
  static constexpr std::size_t kEntriesMax = 4096;  ///< then all are forgotten

  [[nodiscard]] Credentials credentials(fuse_req_t request);
  /// From now on every caller is this one: the storage makes no difference (mapped ownership).
  void all_are(Credentials one) { everybody_ = std::move(one); }

 private:
  struct Entry {
    std::chrono::steady_clock::time_point read;
    std::vector<std::uint32_t> groups;
  };
  std::map<std::tuple<pid_t, uid_t, gid_t>, Entry> entries_;
  std::optional<Credentials> everybody_;
};

/// The kernel does not tell OFD lock requests from POSIX ones; the system call that thread `tid` is
/// blocked in does. kUnchecked whenever it cannot be seen: a deadlock may then go unnoticed, but
/// none is ever reported falsely. Call while the thread waits for our answer. Nothing: the thread
/// still runs (it has sent the request and is on its way to sleep), so look again a little later.
[[nodiscard]] std::optional<OwnerKind> owner_kind_of_blocked(pid_t tid);

}  // namespace holdfast::fs
