#include "lockd/status/metrics.h"

#include "holdfast/lock/phase_name.h"
#include "holdfast/metrics/families.h"
#include "lockd/server/message_kind.h"

#include <functional>
#include <string>

namespace holdfast::lockd::status {
namespace {

using Kind = metrics::Families::Kind;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// A metric with one value, read off a report.
struct Plain {
  Kind kind;
  const char* name;
  const char* help;
  double (*value)(const Report&);
};

double of(std::uint64_t count) {
  return static_cast<double>(count);
}

constexpr Plain kPlain[] = {
    {Kind::kGauge, "holdfast_lockd_epoch", "Number of this life; grows with each",
     [](const Report& r) { return of(r.status.epoch.value); }},
    {Kind::kGauge, "holdfast_lockd_grace",
     "1 while new locks wait because it is not known yet who held what before the start",
     [](const Report& r) { return r.status.grace ? 1.0 : 0.0; }},
    {Kind::kGauge, "holdfast_lockd_stale",
     "1 if the store is older than what mounts remember: nobody is served",
     [](const Report& r) { return r.status.stale ? 1.0 : 0.0; }},
    {Kind::kGauge, "holdfast_lockd_lease_ttl_seconds", "Length of a lease",
     [](const Report& r) { return seconds(r.lease_ttl); }},
    {Kind::kGauge, "holdfast_lockd_lease_margin_seconds",
     "What is left of the lease that ends first, of live sessions",
     [](const Report& r) { return seconds(r.now.lease_left_min); }},
    {Kind::kGauge, "holdfast_lockd_sessions_connected", "Sessions with a connection",
     [](const Report& r) { return of(r.now.connected); }},
    {Kind::kGauge, "holdfast_lockd_locks_held", "Ranges held by all sessions",
     [](const Report& r) { return of(r.now.held); }},
    {Kind::kGauge, "holdfast_lockd_locks_waiting", "Requests for locks that wait",
     [](const Report& r) { return of(r.now.waiting); }},
    {Kind::kGauge, "holdfast_lockd_files", "Files with locks or waiters",
     [](const Report& r) { return of(r.now.files); }},
    {Kind::kGauge, "holdfast_lockd_wal_owners", "Databases in WAL mode that belong to a node now",
     [](const Report& r) { return of(r.now.wal_owners); }},
    {Kind::kGauge, "holdfast_lockd_tokens_held", "Tokens of all sessions (cache=tokens)",
     [](const Report& r) { return of(r.now.tokens); }},
    {Kind::kGauge, "holdfast_lockd_tokens_waiting", "Requests for tokens that wait",
     [](const Report& r) { return of(r.now.tokens_asked); }},
    {Kind::kGauge, "holdfast_lockd_oldest_wait_seconds",
     "How long the request has waited that waits longest",
     [](const Report& r) { return seconds(r.now.oldest_wait); }},
    {Kind::kGauge, "holdfast_lockd_oldest_lock_seconds", "Age of the oldest lock that is held",
     [](const Report& r) { return seconds(r.now.oldest_lock); }},
    {Kind::kGauge, "holdfast_lockd_ages_complete",
     "0 if there were too many locks to look at all of them for the two ages",
     [](const Report& r) { return r.now.looked_at_all ? 1.0 : 0.0; }},
    {Kind::kCounter, "holdfast_lockd_grants_total", "Locks granted",
     [](const Report& r) { return of(r.core.grants); }},
    {Kind::kCounter, "holdfast_lockd_denials_total",
     "Locks refused at once because somebody else holds them",
     [](const Report& r) { return of(r.core.denials); }},
    {Kind::kCounter, "holdfast_lockd_waits_total", "Requests for locks that had to wait",
     [](const Report& r) { return of(r.core.waits); }},
    {Kind::kCounter, "holdfast_lockd_deadlocks_total",
     "Requests refused because they closed a cycle",
     [](const Report& r) { return of(r.core.deadlocks); }},
    {Kind::kCounter, "holdfast_lockd_cancels_total", "Waiting requests given up by their program",
     [](const Report& r) { return of(r.core.cancels); }},
    {Kind::kCounter, "holdfast_lockd_overtakes_total",
     "Waiters let past an earlier one so that no program hangs",
     [](const Report& r) { return of(r.core.overtakes); }},
    {Kind::kCounter, "holdfast_lockd_leases_expired_total",
     "Leases that ended because their mount was silent",
     [](const Report& r) { return of(r.core.expiries); }},
    {Kind::kCounter, "holdfast_lockd_token_grants_total", "Tokens granted",
     [](const Report& r) { return of(r.core.token_grants); }},
    {Kind::kCounter, "holdfast_lockd_recalls_total", "Tokens recalled because another mount asked",
     [](const Report& r) { return of(r.core.recalls); }},
    {Kind::kCounter, "holdfast_lockd_recalls_unmet_total",
     "Recalls that a mount did not answer in time: it is being fenced for it",
     [](const Report& r) { return of(r.core.recalls_unmet); }},
    {Kind::kGauge, "holdfast_lockd_connections", "Connections, mounts or not",
     [](const Report& r) { return of(r.connections); }},
    {Kind::kGauge, "holdfast_lockd_strangers", "Connections that have not said who they are",
     [](const Report& r) { return of(r.strangers); }},
    {Kind::kCounter, "holdfast_lockd_accepted_total", "Connections accepted",
     [](const Report& r) { return of(r.server.accepted); }},
    {Kind::kCounter, "holdfast_lockd_strangers_dropped_total",
     "Connections closed because they did not say who they are",
     [](const Report& r) { return of(r.server.strangers_dropped); }},
    {Kind::kCounter, "holdfast_lockd_protocol_errors_total",
     "Connections closed because they broke the protocol",
     [](const Report& r) { return of(r.server.malformed); }},
    {Kind::kCounter, "holdfast_lockd_access_denied_total",
     "Mounts refused because they have no credential for their volume",
     [](const Report& r) { return of(r.server.access_denied); }},
    {Kind::kCounter, "holdfast_lockd_access_revoked_total",
     "Connections closed because their credential was taken off the list",
     [](const Report& r) { return of(r.server.access_revoked); }},
    {Kind::kCounter, "holdfast_lockd_slow_readers_total",
     "Connections closed because they did not take their answers",
     [](const Report& r) { return of(r.server.slow_readers); }},
    {Kind::kCounter, "holdfast_lockd_pauses_total",
     "Times in which this process stood still for longer than a tick",
     [](const Report& r) { return of(r.server.pauses); }},
    {Kind::kCounter, "holdfast_lockd_store_writes_total", "Transactions written to the store",
     [](const Report& r) { return of(r.server.store_writes); }},
    {Kind::kCounter, "holdfast_lockd_store_failures_total", "Of these, failed and tried again",
     [](const Report& r) { return of(r.server.store_failures); }},
    {Kind::kGauge, "holdfast_lockd_store_waiting", "Answers that wait for the store",
     [](const Report& r) { return of(r.store_waiting); }},
    {Kind::kGauge, "holdfast_lockd_fences_running", "Fence commands that run now",
     [](const Report& r) { return of(r.fences_running); }},
    {Kind::kCounter, "holdfast_lockd_fences_total", "Fence commands run",
     [](const Report& r) { return of(r.server.fences_run); }},
    {Kind::kCounter, "holdfast_lockd_fences_failed_total", "Of these, failed",
     [](const Report& r) { return of(r.server.fences_failed); }},
};

struct Timed {
  const char* name;
  const char* help;
  const Histogram& (*value)(const Report&);
};

constexpr Timed kTimed[] = {
    {"holdfast_lockd_lock_wait_seconds", "How long requests waited that had to wait",
     [](const Report& r) -> const Histogram& { return r.core.lock_waits; }},
    {"holdfast_lockd_recall_seconds", "How long mounts took to give up what was recalled",
     [](const Report& r) -> const Histogram& { return r.core.recall_times; }},
    {"holdfast_lockd_store_write_seconds", "Duration of a transaction of the store",
     [](const Report& r) -> const Histogram& { return r.server.store_times; }},
    {"holdfast_lockd_fence_seconds", "Duration of a fence command",
     [](const Report& r) -> const Histogram& { return r.server.fence_times; }},
    {"holdfast_lockd_loop_lateness_seconds", "How late the loop's timer was: how busy lockd is",
     [](const Report& r) -> const Histogram& { return r.server.lateness; }},
};

constexpr const char* kActive = "holdfast_lockd_active";
constexpr const char* kUptime = "holdfast_lockd_uptime_seconds";
constexpr const char* kInfo = "holdfast_lockd_info";
constexpr const char* kSessions = "holdfast_lockd_sessions";
constexpr const char* kLimitHits = "holdfast_lockd_limit_hits_total";
constexpr const char* kAuthority = "holdfast_lockd_authority_seconds";
constexpr const char* kHandling = "holdfast_lockd_handling_seconds";

void declare(metrics::Families& out) {
  out.declare(Kind::kGauge, kActive, "1 if this lockd serves; 0 while it starts or stands by");
  out.declare(Kind::kGauge, kUptime, "Age of this process");
  out.declare(Kind::kGauge, kInfo, "Always 1; the label tells the version");
  out.declare(Kind::kGauge, kSessions, "Mounts that lockd knows, by phase");
  out.declare(Kind::kCounter, kLimitHits, "Requests refused because of a limit, by limit");
  out.declare(Kind::kGauge, kAuthority,
              "Replicas: for how long this lockd may act without hearing from etcd");
  for (const Plain& plain : kPlain)
    out.declare(plain.kind, plain.name, plain.help);
  out.declare(Kind::kHistogram, kHandling, "Time the loop spent on a message, by kind");
  for (const Timed& timed : kTimed)
    out.declare(Kind::kHistogram, timed.name, timed.help);
}

void fill(metrics::Families& out, const Report& report) {
  for (std::size_t i = 0; i < Snapshot::kPhases; ++i)
    out.set(kSessions, of(report.now.sessions_by_phase[i]),
            {{"phase", std::string(name_of(static_cast<SessionPhase>(i)))}});
  if (report.authority_left != Duration::max()) out.set(kAuthority, seconds(report.authority_left));
  for (const Plain& plain : kPlain)
    out.set(plain.name, plain.value(report));
  for (std::size_t i = 0; i < kLimits; ++i) {
    const auto limit = static_cast<Limit>(i);
    out.set(kLimitHits, of(report.core.limit_hits.of(limit).count),
            {{"limit", std::string(name_of(limit))}});
  }
  for (std::size_t kind = 0; kind < kMessageKinds; ++kind)
    if (const auto name = name_of_kind(kind); !name.empty())
      out.set(kHandling, report.server.handling[kind], {{"message", std::string(name)}});
  for (const Timed& timed : kTimed)
    out.set(timed.name, timed.value(report));
}

}  // namespace

std::string to_metrics(const Moment& moment) {
  metrics::Families out;
  declare(out);
  out.set(kActive, moment.report ? 1 : 0);
  out.set(kUptime, static_cast<double>(moment.uptime.count()));
  out.set(kInfo, 1, {{"version", moment.version}});
  if (moment.report) fill(out, *moment.report);
  return out.text();
}

}  // namespace holdfast::lockd::status
