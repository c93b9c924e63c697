#pragma once
/// Programs of pods that wait for a lock, and what a pod is told about it. Pure.

#include "fs/state/reading.h"
#include "holdfast/lock/message.h"

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// One pod that waits for locks of one file: however many of its programs do, it is told once.
struct WaitKey {
  std::string connection;  ///< of the mount
  std::string pod_uid;
  std::uint64_t fileid = 0;
  friend auto operator<=>(const WaitKey&, const WaitKey&) = default;
};

struct Pod {
  std::string ns;
  std::string name;
  std::string uid;
};

struct Wait {
  WaitKey key;
  Pod pod;
  /// Of those that wait, the one that has waited longest.
  std::chrono::milliseconds age{0};
  std::uint32_t pid = 0;
  std::string process;
  unsigned others = 0;  ///< more of the pod's that wait for the same file
};

/// What a pod is told about its wait.
struct Told {
  std::string note;    ///< printable ASCII, at most kNoteMax
  std::string behind;  ///< who is in the way; the same text as long as it is the same programs
  std::optional<Pod> holder;
};
/// Kubernetes: 1,024.
inline constexpr std::size_t kNoteMax = 1'000;

/// Whether somebody on this mount may have waited that long. `now`: as in fs/state/page.h.
[[nodiscard]] bool may_have_old_wait(const fs::state::Snapshot& state, std::uint64_t now,
                                     std::chrono::milliseconds after);

/// Of what a mount says of its own programs: pods that have waited for `after` or longer, the
/// longest first. `nameless` counts waits in pods whose names are not known.
struct Waits {
  std::vector<Wait> all;
  unsigned nameless = 0;
};
[[nodiscard]] Waits waits_of(const WhoAnswer& own, const std::string& connection,
                             std::chrono::milliseconds after);

/// `who`: the answer for the file of the wait. `session`: of the mount it waits on.
[[nodiscard]] Told tell(const Wait& wait, const WhoAnswer& who, SessionId session,
                        std::string_view source);

}  // namespace holdfast::cli
