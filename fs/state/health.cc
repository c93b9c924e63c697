#include "fs/state/health.h"

#include "fs/state/names.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace holdfast::fs::state {
namespace {

std::uint64_t since(std::uint64_t then, std::uint64_t now) {
  return then == 0 || then > now ? 0 : now - then;
}

std::string where(const Snapshot& state) {
  return state.lockd.empty() ? std::string("lockd") : fmt::format("lockd at {}", state.lockd);
}

std::string oldest_text(const Snapshot& state, std::uint64_t now) {
  const OpenRequest* request = oldest(state);
  if (request == nullptr) return {};
  const std::string by = request->pid == 0 ? "" : fmt::format(" of process {}", request->pid);
  return fmt::format("oldest request {} {}{}", span_text(since(request->since, now)),
                     request->operation, by);
}

std::string with_oldest(std::string words, const Snapshot& state, std::uint64_t now) {
  const std::string request = oldest_text(state, now);
  return request.empty() ? words : words + "; " + request;
}

Verdict without_lease(const Snapshot& state, std::uint64_t now) {
  const std::uint64_t from =
      state.suspended_since != 0 ? state.suspended_since : state.entitled_until;
  const std::string span = from == 0 ? "" : " since " + span_text(since(from, now));
  std::string why = "it is connected, and its lease is not renewed";
  if (state.connected_since == 0) {
    why = "it cannot be reached";
    if (state.lockd_error != 0) why += fmt::format(" ({})", std::strerror(state.lockd_error));
  }
  return {
      Health::kWaitingForLockd,
      with_oldest(fmt::format("waiting for {}{}: {}; programs wait, nothing is written, and all "
                              "goes on when it is back",
                              where(state), span, why),
                  state, now)};
}

}  // namespace

std::string span_text(std::uint64_t ms) {
  const std::uint64_t seconds = ms / 1000;
  if (seconds == 0) return fmt::format("{}ms", ms);
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m{:02}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h{:02}m", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{}d{:02}h", seconds / 86400, seconds / 3600 % 24);
}

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kServing:
      return "serving";
    case Health::kUneasy:
      return "uneasy";
    case Health::kWaitingForLockd:
      return "waiting-for-lockd";
    case Health::kWaitingForStorage:
      return "waiting-for-storage";
    case Health::kHanging:
      return "hanging";
    case Health::kDead:
      return "dead";
  }
  return "?";
}

const OpenRequest* oldest(const Snapshot& state) {
  const auto found = std::find_if(state.open.begin(), state.open.end(),
                                  [](const auto& request) { return !may_wait(request.operation); });
  return found == state.open.end() ? nullptr : &*found;
}

std::uint64_t lock_waits(const Snapshot& state) {
  return static_cast<std::uint64_t>(
      std::count_if(state.open.begin(), state.open.end(),
                    [](const auto& request) { return may_wait(request.operation); }));
}

Verdict judge(const Snapshot& state, std::uint64_t now) {
  if (!state.alive) {
    return {Health::kDead,
            "its process is dead: programs get ENOTCONN until it is unmounted and mounted again; "
            "what fsync acknowledged is on the storage"};
  }
  if (since(state.beat, now) >= kBeatMs) {
    return {Health::kHanging,
            with_oldest(fmt::format("hanging: its process ({}) has not run for {} (stopped, or "
                                    "starved of processor or memory)",
                                    state.pid, span_text(since(state.beat, now))),
                        state, now)};
  }
  if (state.session == 0 || state.entitled_until <= now) return without_lease(state, now);
  if (since(state.storage_oldest, now) >= kSlowMs) {
    return {
        Health::kWaitingForStorage,
        with_oldest(fmt::format("waiting for NFS since {}: {} of {} calls is the oldest without "
                                "an answer; programs wait, and all goes on when the server is "
                                "back",
                                span_text(since(state.storage_oldest, now)),
                                state.storage_procedure, state.storage_calls),
                    state, now)};
  }
  const OpenRequest* request = oldest(state);
  if (request != nullptr && since(request->since, now) >= kSlowMs) {
    return {
        Health::kHanging,
        fmt::format("hanging: {}; neither lockd nor NFS is what it waits for: another mount may "
                    "be slow to give a token up (holdfast sessions at lockd)",
                    oldest_text(state, now))};
  }
  if (state.connected_since == 0 && state.disconnected_since != 0) {
    return {Health::kUneasy,
            fmt::format("serving, but {} is not connected since {}: everything waits from {} on",
                        where(state), span_text(since(state.disconnected_since, now)),
                        span_text(state.entitled_until - now))};
  }
  const std::uint64_t waits = lock_waits(state);
  if (waits == 0) return {Health::kServing, "serving"};
  return {Health::kServing,
          fmt::format("serving; {} wait{} for a lock", waits, waits == 1 ? "s" : "")};
}

}  // namespace holdfast::fs::state
