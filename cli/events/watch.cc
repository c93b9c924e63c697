#include "cli/events/watch.h"

#include "cli/admin/question.h"
#include "cli/runtime_directory.h"
#include "fs/state/health.h"
#include "fs/state/reading.h"
#include "fs/state/state.h"
#include "holdfast/base/clock.h"
#include "holdfast/base/log.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>
#include <unistd.h>

namespace holdfast::cli {
namespace {

std::optional<WhoAnswer> ask_mount(const std::string& socket, std::uint64_t fileid) {
  auto answer = ask(socket, ClientMessage(AskWho{.question = 1, .fileid = fileid}));
  if (!answer) return std::nullopt;
  auto* who = std::get_if<WhoAnswer>(&*answer);
  if (who == nullptr) return std::nullopt;
  return std::move(*who);
}

/// For the Event's time, which people compare with their watches.
std::chrono::microseconds wall_time() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::duration_cast<std::chrono::microseconds>(
                                                std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace

void Watch::look() {
  mounts_.clear();
  silent_.clear();
  waits_.clear();
  nameless_ = 0;
  for (const std::string& directory : options_.directories)
    for (const std::string& connection : fs::state::published_in(directory))
      if (!mounts_.contains(connection)) look_at(directory, connection);
  std::stable_sort(waits_.begin(), waits_.end(),
                   [](const Wait& a, const Wait& b) { return a.age > b.age; });
  if (nameless_ > 0 && !nameless_said_) {
    log::warn("events.pod_unnamed",
              "waits={} note=\"these pods cannot be told: the mounts do not know their names\" "
              "hint=\"the pod of the keeper needs the node's /var/log/pods\"",
              nameless_);
  }
  nameless_said_ = nameless_ > 0;
  for (const Wait& wait : teller_.due(waits_, silent_, boot_time_now()))
    tell_one(wait);
}

void Watch::look_at(const std::string& directory, const std::string& connection) {
  const auto reading = fs::state::Reading::open(fs::state::file_of(directory, connection));
  if (!reading) return;
  const fs::state::Snapshot state = reading->snapshot();
  const std::uint64_t now = fs::state::now_ms();
  if (!state.alive) return;
  if (state.beat + fs::state::kBeatMs < now) {
    silent_.insert(connection);  // it hangs: it would not answer, and its waits go on
    return;
  }
  if (!may_have_old_wait(state, now, options_.after)) return;
  const std::string socket = control_path(directory, connection);
  const auto own = ask_mount(socket, kWaitsOfAllFiles);
  if (!own) {
    silent_.insert(connection);
    return;
  }
  mounts_[connection] = {SessionId{state.session}, state.source, socket};
  Waits found = waits_of(*own, connection, options_.after);
  nameless_ += found.nameless;
  std::move(found.all.begin(), found.all.end(), std::back_inserter(waits_));
}

void Watch::tell_one(const Wait& wait) {
  const Mount& mount = mounts_.at(wait.key.connection);
  const auto who = ask_mount(mount.socket, wait.key.fileid);
  if (!who) return;  // still due
  const auto salt = static_cast<std::uint64_t>(wall_time().count()) ^
                    (static_cast<std::uint64_t>(::getpid()) << 40U);
  carry_out(teller_.order(wait, tell(wait, *who, mount.session, mount.source), salt));
}

void Watch::carry_out(const Order& order) {
  const auto answer = api_.send(request_for(order, options_.node, wall_time()));
  const Outcome outcome =
      answer ? outcome_of(order, answer->status, answer->body) : Outcome::kFailed;
  teller_.done(order, outcome, boot_time_now());
  switch (outcome) {
    case Outcome::kDone:
      if (!failure_said_.empty()) log::info("events.told_again", "api={}", options_.api.host);
      failure_said_.clear();
      log::info("events.told", "namespace={} pod={} fileid={} event={} count={}", order.pod.ns,
                order.pod.name, order.key.fileid, order.name, order.count);
      break;
    case Outcome::kGone:
      break;
    case Outcome::kRefused:
      log::warn("events.refused", "namespace={} pod={} status={} said=\"{}\"", order.pod.ns,
                order.pod.name, answer->status, answer->body.substr(0, 200));
      break;
    case Outcome::kFailed:
      if (answer) {
        failed(fmt::format("HTTP status {}", answer->status), hint_for(answer->status));
      } else {
        failed(answer.error().what, answer.error().hint);
      }
  }
}

void Watch::failed(const std::string& what, std::string_view hint) {
  if (what == failure_said_) return;
  failure_said_ = what;
  log::warn("events.not_told",
            "error=\"{}\" note=\"pods that wait for locks are not told who has them; locks, mounts "
            "and data do not depend on it\" hint=\"{}\"",
            what, hint);
}

}  // namespace holdfast::cli
