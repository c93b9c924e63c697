#include "cli/admin/listing.h"

#include "cli/admin/table.h"
#include "holdfast/base/json.h"
#include "holdfast/lock/phase_name.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

// os_unix.c: PENDING_BYTE, RESERVED_BYTE, SHARED_FIRST and SHARED_SIZE.
constexpr std::uint64_t kPendingByte = 0x40000000;
constexpr std::uint64_t kSharedFirst = kPendingByte + 2;
constexpr std::uint64_t kSharedSize = 510;

std::string hex(const VolumeId& id) {
  std::string out;
  for (const auto byte : id)
    out += fmt::format("{:02x}", byte);
  return out;
}

std::string lock_json(const LockInfo& lock) {
  const bool to_end = lock.range.end() == ByteRange::kEnd;
  return fmt::format(
      R"({{"state":"{}","session":"{:016x}","node":{},"volume":{},"fileid":{},"kind":"{}",)"
      R"("mode":"{}","start":{},"end":{},"range":"{}","owner":"{:016x}","pid":{},"age_ms":{},)"
      R"("token":{}}})",
      state_text(lock.state), lock.session.value, json_string(lock.node),
      json_string(lock.volume_name), lock.file.fileid, space_text(lock.space), mode_text(lock.mode),
      lock.range.start(), to_end ? "null" : std::to_string(lock.range.end()),
      range_text(lock.range), lock.owner.value, lock.pid, lock.age.count(), lock.token.value);
}

std::string session_json(const SessionInfo& session, Epoch epoch) {
  return fmt::format(
      R"({{"session":"{:016x}","node":{},"mountpoint":{},"volume":{},"volume_id":"{}","pid":{},)"
      R"("connected":{},"lease_left_ms":{},"locks":{},"waiters":{},"phase":"{}","losses":{},"tokens":{},)"
      R"("epoch":{}}})",
      session.session.value, json_string(session.node), json_string(session.mountpoint),
      json_string(session.volume_name), hex(session.volume), session.pid, session.connected,
      session.lease_left.count(), session.locks, session.waiters, phase_text(session),
      session.losses, session.tokens, epoch.value);
}

std::string grace_line(const SessionList& list) {
  if (list.stale) {
    return "lockd serves nobody: its store is older than what a mount remembers (was it put back "
           "from a backup?)\n";
  }
  if (!list.grace) return {};
  std::string out = "grace period: locks wait until lockd knows who held what before it started";
  if (list.grace_left.count() > 0) out += fmt::format(" ({} at least)", age_text(list.grace_left));
  return out + "\n";
}

}  // namespace

std::string_view state_text(LockState state) {
  switch (state) {
    case LockState::kHeld:
      return "held";
    case LockState::kWaiting:
      return "waiting";
    case LockState::kWalOwner:
      return "wal-owner";
  }
  return "?";
}
std::string_view space_text(LockSpace space) {
  return space == LockSpace::kFlock ? "flock" : "fcntl";
}
std::string_view mode_text(LockMode mode) {
  return mode == LockMode::kExclusive ? "exclusive" : "shared";
}

std::string cell(std::string_view text) {
  if (text.empty()) return "-";
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < ' ' || c == 0x7f; }, '?');
  return out;
}

std::string phase_text(const SessionInfo& session) {
  if (session.breaking) return "breaking";
  return std::string(name_of(session.phase));
}

std::string range_text(const ByteRange& range) {
  const std::uint64_t size = range.end() - range.start();
  if (range.start() == kPendingByte && size == 1) return "PENDING";
  if (range.start() == kPendingByte + 1 && size == 1) return "RESERVED";
  if (range.start() == kSharedFirst && size == kSharedSize) return "SHARED";
  if (range.end() == ByteRange::kEnd) return fmt::format("{}-EOF", range.start());
  return fmt::format("{}-{}", range.start(), range.end() - 1);
}

std::string age_text(std::chrono::milliseconds age) {
  const auto seconds = std::max<std::int64_t>(age.count(), 0) / 1000;
  if (seconds == 0) return fmt::format("{}ms", std::max<std::int64_t>(age.count(), 0));
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
}

std::string locks_table(const LockList& list) {
  const std::string elsewhere =
      list.tokens == 0 ? ""
                       : fmt::format(
                             "mounts hold {} tokens: locks on files that only one mount "
                             "uses are decided there and not shown\n",
                             list.tokens);
  if (list.locks.empty()) return "no locks\n" + elsewhere;
  std::vector<Row> rows{{"NODE", "PID", "STATE", "KIND", "MODE", "RANGE", "AGE", "FILEID", "LOCK",
                         "SESSION", "VOLUME"}};
  for (const LockInfo& lock : list.locks) {
    const bool wal = lock.state == LockState::kWalOwner;
    rows.push_back({cell(lock.node), lock.pid == 0 ? "-" : std::to_string(lock.pid),
                    std::string(state_text(lock.state)),
                    wal ? "wal-index" : std::string(space_text(lock.space)),
                    std::string(mode_text(lock.mode)), wal ? "-" : range_text(lock.range),
                    age_text(lock.age), std::to_string(lock.file.fileid),
                    lock.token.value == 0 ? "-" : std::to_string(lock.token.value),
                    fmt::format("{:016x}", lock.session.value), cell(lock.volume_name)});
  }
  std::string out = table(rows);
  if (list.truncated) out += fmt::format("only the first {} are shown\n", list.locks.size());
  return out + elsewhere;
}

std::string sessions_table(const SessionList& list) {
  std::string out = grace_line(list);
  if (list.sessions.empty()) return out + "no sessions\n";
  std::vector<Row> rows{{"NODE", "PID", "STATE", "PHASE", "LEASE", "LOCKS", "WAITERS", "TOKENS",
                         "SESSION", "VOLUME", "MOUNTPOINT"}};
  for (const SessionInfo& session : list.sessions) {
    rows.push_back({cell(session.node), std::to_string(session.pid),
                    session.connected ? "connected" : "away", phase_text(session),
                    age_text(session.lease_left), std::to_string(session.locks),
                    std::to_string(session.waiters), std::to_string(session.tokens),
                    fmt::format("{:016x}", session.session.value), cell(session.volume_name),
                    cell(session.mountpoint)});
  }
  out += table(rows);
  if (list.truncated) out += fmt::format("only the first {} are shown\n", list.sessions.size());
  return out;
}

std::string locks_json(const std::vector<LockList>& lists) {
  std::vector<std::string> entries;
  bool truncated = false;
  std::uint64_t tokens = 0;
  for (const LockList& list : lists) {
    truncated = truncated || list.truncated;
    tokens += list.tokens;
    for (const LockInfo& lock : list.locks)
      entries.push_back(lock_json(lock));
  }
  return fmt::format(R"({{"locks":[{}],"truncated":{},"tokens":{}}}{})", fmt::join(entries, ","),
                     truncated, tokens, '\n');
}

std::string sessions_json(const std::vector<SessionList>& lists) {
  std::vector<std::string> entries;
  bool truncated = false;
  for (const SessionList& list : lists) {
    truncated = truncated || list.truncated;
    for (const SessionInfo& one : list.sessions)
      entries.push_back(session_json(one, list.epoch));
  }
  std::vector<std::string> lockds;
  for (const SessionList& list : lists) {
    lockds.push_back(fmt::format(R"({{"epoch":{},"grace":{},"grace_left_ms":{},"stale":{}}})",
                                 list.epoch.value, list.grace, list.grace_left.count(),
                                 list.stale));
  }
  return fmt::format(R"({{"sessions":[{}],"truncated":{},"lockds":[{}]}}{})",
                     fmt::join(entries, ","), truncated, fmt::join(lockds, ","), '\n');
}

}  // namespace holdfast::cli
