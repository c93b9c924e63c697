#include "cli/admin/status_report.h"

#include "cli/admin/listing.h"
#include "holdfast/base/json.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

using fs::state::Health;
using fs::state::judge;
using fs::state::Snapshot;
using fs::state::span_text;

constexpr std::string_view kUnknown =
    "unknown: it publishes nothing that can be read here (a mount of another user, or of an older "
    "holdfast)";

std::uint64_t span(std::uint64_t then, std::uint64_t now) {
  return then == 0 || then > now ? 0 : now - then;
}

std::string words_of(const MountView& mount, std::uint64_t now) {
  return mount.state ? judge(*mount.state, now).words : std::string(kUnknown);
}

std::string details(const Snapshot& state, std::uint64_t now) {
  const std::string lease = state.entitled_until > now
                                ? "lease for another " + span_text(state.entitled_until - now)
                                : std::string("no lease");
  return fmt::format(
      "  process {} for {}; session {:016x} at lockd {}, {}\n"
      "  {} locks, {} tokens; without an answer: {} requests of programs, {} at lockd, {} at the "
      "storage\n",
      state.pid, span_text(span(state.started, now)), state.session, cell(state.lockd), lease,
      state.locks, state.tokens, state.requests, state.lockd_calls, state.storage_calls);
}

std::string request_json(const fs::state::OpenRequest& request, std::uint64_t now) {
  return fmt::format(R"({{"operation":"{}","age_ms":{},"pid":{}}})", request.operation,
                     span(request.since, now), request.pid);
}

std::string state_json(const Snapshot& state, std::uint64_t now) {
  const auto* request = fs::state::oldest(state);
  return fmt::format(
      R"({{"pid":{},"up_ms":{},"beat_age_ms":{},"session":"{:016x}","epoch":{},"lockd":{},)"
      R"("lockd_connected":{},"lease_left_ms":{},"suspended_ms":{},"locks":{},"tokens":{},)"
      R"("lockd_calls":{},"storage_calls":{},"storage_oldest_ms":{},"storage_oldest":{},)"
      R"("requests":{},"lock_waits":{},"oldest_request":{}}})",
      state.pid, span(state.started, now), span(state.beat, now), state.session, state.epoch,
      json_string(state.lockd), state.connected_since != 0,
      state.entitled_until > now ? state.entitled_until - now : 0, span(state.suspended_since, now),
      state.locks, state.tokens, state.lockd_calls, state.storage_calls,
      span(state.storage_oldest, now),
      state.storage_procedure.empty() ? "null" : json_string(state.storage_procedure),
      state.requests, fs::state::lock_waits(state),
      request == nullptr ? "null" : request_json(*request, now));
}

}  // namespace

std::vector<MountView> holdfast_mounts(const std::vector<MountInfo>& lines) {
  std::vector<MountView> mounts;
  for (const MountInfo& line : lines) {
    if (!line.is_holdfast()) continue;
    const std::string connection = line.connection();
    const auto known = std::find_if(mounts.begin(), mounts.end(), [&](const MountView& mount) {
      return mount.connection == connection;
    });
    if (known != mounts.end()) {
      known->paths.push_back(line.path);
      continue;
    }
    mounts.push_back({.connection = connection,
                      .source = line.source,
                      .paths = {line.path},
                      .state = std::nullopt,
                      .counts = {}});
  }
  return mounts;
}

std::string_view health_name(const MountView& mount, std::uint64_t now) {
  return mount.state ? fs::state::name_of(judge(*mount.state, now).health) : "unknown";
}

bool all_serve(const std::vector<MountView>& mounts, std::uint64_t now) {
  return std::all_of(mounts.begin(), mounts.end(), [&](const MountView& mount) {
    if (!mount.state) return false;
    const Health health = judge(*mount.state, now).health;
    return health == Health::kServing || health == Health::kUneasy;
  });
}

std::string status_text(const std::vector<MountView>& mounts, std::uint64_t now) {
  std::string out;
  for (const MountView& mount : mounts) {
    out += fmt::format("{} ({}): {}\n", cell(mount.paths.front()), cell(mount.source),
                       words_of(mount, now));
    if (mount.state && mount.state->alive) out += details(*mount.state, now);
    for (std::size_t i = 1; i < mount.paths.size(); ++i)
      out += fmt::format("  also at {}\n", cell(mount.paths[i]));
  }
  return out;
}

std::string status_json(const std::vector<MountView>& mounts, std::uint64_t now) {
  std::string all;
  for (const MountView& mount : mounts) {
    std::string paths;
    for (const std::string& path : mount.paths)
      paths += (paths.empty() ? "" : ",") + json_string(path);
    std::string counts;
    for (const auto& [name, value] : mount.counts)
      counts += fmt::format("{}{}:{}", counts.empty() ? "" : ",", json_string(name), value);
    all += fmt::format(
        R"({}{{"mountpoint":{},"paths":[{}],"source":{},"connection":"{}","health":"{}",)"
        R"("words":{},"state":{},"counters":{{{}}}}})",
        all.empty() ? "" : ",", json_string(mount.paths.front()), paths, json_string(mount.source),
        mount.connection, health_name(mount, now), json_string(words_of(mount, now)),
        mount.state ? state_json(*mount.state, now) : "null", counts);
  }
  return fmt::format("{{\"mounts\":[{}]}}\n", all);
}

}  // namespace holdfast::cli
