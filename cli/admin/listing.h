#pragma once
/// Listings as text for people and as JSON for programs. Pure.
///
/// JSON: one object; names and units as in docs/protocol.md, "Admin". Names from the network (node,
/// mount point, volume) need not be UTF-8: bytes that are not come out as U+FFFD, control
/// characters escaped; in tables they are '?', so that no name can play with a terminal.

#include "holdfast/lock/message.h"

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

/// "PENDING", "RESERVED" or "SHARED" for exactly SQLite's lock bytes, else "0-511" or "0-EOF", both
/// ends inclusive as in /proc/locks.
[[nodiscard]] std::string range_text(const ByteRange& range);
/// "held", "waiting", "wal-owner".
[[nodiscard]] std::string_view state_text(LockState state);
/// "fcntl" or "flock".
[[nodiscard]] std::string_view space_text(LockSpace space);
/// "shared" or "exclusive".
[[nodiscard]] std::string_view mode_text(LockMode mode);
/// "250ms", "12s", "3m04s", "5h06m", "2d03h".
[[nodiscard]] std::string age_text(std::chrono::milliseconds age);

/// "live", "returning", "courtesy", "fencing", "fenced"; "breaking" while an order waits for the
/// lease to end.
[[nodiscard]] std::string phase_text(const SessionInfo& session);
/// For tables: control characters are '?', nothing is '-'.
[[nodiscard]] std::string cell(std::string_view text);

[[nodiscard]] std::string locks_table(const LockList& list);
[[nodiscard]] std::string sessions_table(const SessionList& list);
/// Who waits, the longest first, and what for.
[[nodiscard]] std::string waiters_table(const LockList& list);
[[nodiscard]] std::string waiters_json(const std::vector<LockList>& lists);
[[nodiscard]] std::string locks_json(const std::vector<LockList>& lists);
[[nodiscard]] std::string sessions_json(const std::vector<SessionList>& lists);

}  // namespace holdfast::cli
