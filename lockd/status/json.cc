#include "lockd/status/json.h"

#include "holdfast/base/json.h"
#include "holdfast/lock/phase_name.h"

#include <string_view>

#include <fmt/format.h>

namespace holdfast::lockd::status {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

/// An object that is written from front to back.
class Object {
 public:
  Object& text(std::string_view name, std::string_view value) {
    return raw(name, json_string(value));
  }
  Object& number(std::string_view name, std::uint64_t value) {
    return raw(name, fmt::format("{}", value));
  }
  Object& ms(std::string_view name, Duration value) {
    return raw(name, fmt::format("{}", duration_cast<milliseconds>(value).count()));
  }
  Object& yes(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }
  Object& raw(std::string_view name, std::string_view json) {
    out_ += out_.empty() ? "{" : ",";
    out_ += json_string(name);
    out_ += ':';
    out_ += json;
    return *this;
  }
  [[nodiscard]] std::string take() { return (out_.empty() ? "{" : std::move(out_)) + "}"; }

 private:
  std::string out_;
};

template <class Items, class Write>
std::string list(const Items& items, Write write) {
  std::string out = "[";
  for (const auto& item : items) {
    if (out.size() > 1) out += ',';
    out += write(item);
  }
  return out + "]";
}

std::string hex(std::uint64_t value) {
  return fmt::format("{:016x}", value);
}

std::string_view state_name(LockState state) {
  switch (state) {
    case LockState::kHeld:
      return "held";
    case LockState::kWaiting:
      return "waiting";
    case LockState::kWalOwner:
      return "wal";
  }
  return "held";
}

std::string session_json(const SessionInfo& session) {
  return Object()
      .text("session", hex(session.session.value))
      .text("node", session.node)
      .text("mountpoint", session.mountpoint)
      .text("volume", session.volume_name)
      .number("pid", session.pid)
      .yes("connected", session.connected)
      .text("phase", name_of(session.phase))
      .ms("lease_left_ms", session.lease_left)
      .number("locks", session.locks)
      .number("waiting", session.waiters)
      .number("tokens", session.tokens)
      .number("losses", session.losses)
      .yes("breaking", session.breaking)
      .take();
}

std::string lock_json(const LockInfo& lock) {
  Object out;
  out.text("state", state_name(lock.state))
      .text("session", hex(lock.session.value))
      .text("node", lock.node)
      .text("volume", lock.volume_name)
      .text("file", fmt::format("{}", lock.file.fileid))
      .text("kind", lock.space == LockSpace::kFlock ? "flock" : "fcntl")
      .text("mode", lock.mode == LockMode::kExclusive ? "exclusive" : "shared")
      .text("owner", hex(lock.owner.value))
      .number("pid", lock.pid)
      .ms("age_ms", lock.age)
      .text("start", fmt::format("{}", lock.range.start()));
  if (lock.range.end() != ByteRange::kEnd) out.text("end", fmt::format("{}", lock.range.end()));
  return out.take();
}

std::string wait_json(const WaitShown& shown) {
  return Object()
      .raw("wait", lock_json(shown.wait))
      .raw("blockers", list(shown.blockers, lock_json))
      .yes("more", shown.more_blockers)
      .take();
}

std::string totals_json(const Report& report) {
  Object phases;
  for (std::size_t i = 0; i < Snapshot::kPhases; ++i)
    phases.number(name_of(static_cast<SessionPhase>(i)), report.now.sessions_by_phase[i]);
  const Snapshot& now = report.now;
  return Object()
      .raw("sessions", phases.take())
      .number("connected", now.connected)
      .number("held", now.held)
      .number("waiting", now.waiting)
      .number("tokens", now.tokens)
      .number("tokens_asked", now.tokens_asked)
      .number("files", now.files)
      .number("wal_owners", now.wal_owners)
      .number("connections", report.connections)
      .number("store_waiting", report.store_waiting)
      .number("fences_running", report.fences_running)
      .ms("oldest_wait_ms", now.oldest_wait)
      .ms("oldest_lock_ms", now.oldest_lock)
      .ms("lease_left_min_ms", now.lease_left_min)
      .yes("looked_at_all", now.looked_at_all)
      .take();
}

std::string counters_json(const Report& report) {
  std::uint64_t messages = 0;
  for (const Histogram& one : report.server.handling)
    messages += one.count();
  const auto us = [](const Histogram& histogram) {
    return static_cast<std::uint64_t>(
        duration_cast<std::chrono::microseconds>(histogram.sum).count());
  };
  return Object()
      .number("messages", messages)
      .number("grants", report.core.grants)
      .number("denials", report.core.denials)
      .number("waits", report.core.waits)
      .number("waits_ended", report.core.lock_waits.count())
      .number("waits_us", us(report.core.lock_waits))
      .number("deadlocks", report.core.deadlocks)
      .number("cancels", report.core.cancels)
      .number("leases_expired", report.core.expiries)
      .number("limit_hits", report.core.limit_hits.total())
      .number("token_grants", report.core.token_grants)
      .number("recalls", report.core.recalls)
      .number("recalls_unmet", report.core.recalls_unmet)
      .number("store_writes", report.server.store_writes)
      .number("store_failures", report.server.store_failures)
      .number("fences", report.server.fences_run)
      .number("fences_failed", report.server.fences_failed)
      .number("refused_connections", report.server.malformed + report.server.strangers_dropped)
      .number("pauses", report.server.pauses)
      .take();
}

void add_report(Object& out, const Report& report) {
  const Status& status = report.status;
  out.text("epoch", fmt::format("{}", status.epoch.value))
      .yes("grace", status.grace)
      .yes("stale", status.stale)
      .ms("lease_ttl_ms", report.lease_ttl)
      .raw("totals", totals_json(report))
      .raw("counters", counters_json(report))
      .raw("sessions", list(report.now.sessions, session_json))
      .yes("sessions_cut", report.now.sessions_cut)
      .raw("waits", list(report.now.waits, wait_json))
      .yes("waits_cut", report.now.waits_cut)
      .raw("locks", list(report.now.locks, lock_json))
      .yes("locks_cut", report.now.locks_cut || !report.now.looked_at_all);
}

}  // namespace

std::string to_json(const Moment& moment) {
  Object out;
  out.text("version", moment.version)
      .text("state", moment.report ? "active" : "waiting")
      .text("waits_for", moment.waits_for)
      .text("listening", moment.listening)
      .number("uptime_s", static_cast<std::uint64_t>(moment.uptime.count()));
  if (moment.report) add_report(out, *moment.report);
  return out.take() + "\n";
}

}  // namespace holdfast::lockd::status
