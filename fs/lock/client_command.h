#pragma once
/// Inner to client_*.cc: what commands are about.

#include "holdfast/lock/message.h"

#include <algorithm>
#include <cstdint>
#include <variant>

namespace holdfast::fs {

// Numbers from the oldest unanswered request to the newest. lockd keeps the replies in between, so
// a blocking lock that waits for long must not keep them all: see make_room().
inline constexpr std::uint64_t kWindowMax = 16'384;

[[nodiscard]] inline std::uint64_t window(const Welcome& session) {
  return std::clamp<std::uint64_t>(session.requests_in_flight_max / 2, 1, kWindowMax);
}

/// The file whose locks or token it is about; null: none, or many.
[[nodiscard]] inline const FileKey* file_of(const Command& command) {
  struct Visitor {
    const FileKey* operator()(const LockRequest& one) const { return &one.file; }
    const FileKey* operator()(const UnlockRequest& one) const { return &one.file; }
    const FileKey* operator()(const QueryRequest& one) const { return &one.file; }
    const FileKey* operator()(const ReleaseOwnerRequest& one) const { return &one.file; }
    const FileKey* operator()(const ReleaseHandleRequest& one) const { return &one.file; }
    const FileKey* operator()(const CancelRequest&) const { return nullptr; }
    const FileKey* operator()(const ClaimWalRequest& one) const { return &one.database; }
    const FileKey* operator()(const TokenRequest& one) const { return &one.file; }
    const FileKey* operator()(const PushLocks& one) const { return &one.file; }
    const FileKey* operator()(const TokenRelease& one) const { return &one.file; }
    const FileKey* operator()(const TokenAssert&) const { return nullptr; }
  };
  return std::visit(Visitor{}, command);
}

/// Asks for, gives back or looks at the locks of one file.
[[nodiscard]] inline bool is_about_locks(const Command& command) {
  return std::holds_alternative<LockRequest>(command) ||
         std::holds_alternative<UnlockRequest>(command) ||
         std::holds_alternative<QueryRequest>(command) ||
         std::holds_alternative<ReleaseOwnerRequest>(command) ||
         std::holds_alternative<ReleaseHandleRequest>(command) ||
         std::holds_alternative<ClaimWalRequest>(command);
}

/// Gives locks back, and is never refused for somebody else's sake.
[[nodiscard]] inline bool frees(const Command& command) {
  return std::holds_alternative<UnlockRequest>(command) ||
         std::holds_alternative<ReleaseOwnerRequest>(command) ||
         std::holds_alternative<ReleaseHandleRequest>(command);
}

}  // namespace holdfast::fs
