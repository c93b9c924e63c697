#include "cli/metrics/exposition.h"

#include "holdfast/metrics/families.h"

#include <string_view>

namespace holdfast::cli {
namespace {

using Kind = metrics::Families::Kind;
using metrics::Families;
using metrics::Labels;

constexpr const char* kUp = "holdfast_mount_up";
constexpr const char* kInfo = "holdfast_mount_info";
constexpr const char* kBytes = "holdfast_mount_bytes_total";
constexpr const char* kMargin = "holdfast_mount_lease_margin_seconds";
constexpr const char* kSuspended = "holdfast_mount_suspended_seconds_total";

/// A cell of the page by itself.
struct Plain {
  const char* cell;
  const char* name;
  const char* help;
};
constexpr Plain kCounts[] = {
    {"lease.suspended", "holdfast_mount_suspensions_total",
     "Times the mount stood still because its lease was over"},
    {"lease.sessions_lost", "holdfast_mount_sessions_lost_total",
     "Times lockd did not know the mount any more: all its locks were lost"},
    {"lease.files_lost", "holdfast_mount_files_lost_total",
     "Files whose locks lockd gave away while the mount was silent"},
    {"lockd.connects", "holdfast_mount_lockd_connects_total", "Connections made to lockd"},
    {"nfs.connects", "holdfast_mount_nfs_connects_total", "Connections made to the NFS server"},
    {"nfs.repeated", "holdfast_mount_nfs_repeated_total",
     "NFS calls that were sent more than once before they were answered"},
    {"nfs.later", "holdfast_mount_nfs_later_total", "Answers of the NFS server that say: later"},
    {"nfs.given_up", "holdfast_mount_nfs_given_up_total",
     "NFS calls given up without an answer (soft mounts)"},
};
constexpr Plain kGauges[] = {
    {"fuse.under_way", "holdfast_mount_requests_under_way",
     "Requests of the kernel that are not answered yet"},
    {"nfs.under_way", "holdfast_mount_nfs_under_way", "NFS calls that are not answered yet"},
    {"lock.waiting", "holdfast_mount_lock_calls_under_way",
     "Calls for locks that are not answered yet, those that wait for a lock included"},
};

/// All cells that begin so; the rest of the name is the label.
struct Labelled {
  const char* prefix;
  const char* label;
  const char* count;
  const char* count_help;
  const char* timing_prefix;
  const char* timing;
  const char* timing_help;
};
constexpr Labelled kLabelled[] = {
    {"fuse.", "op", "holdfast_mount_requests_total", "Requests from the kernel", "fuse.",
     "holdfast_mount_request_seconds", "How long the kernel waited for an answer"},
    {"nfs.", "procedure", "holdfast_mount_nfs_calls_total", "Calls to the NFS server", "nfs.",
     "holdfast_mount_nfs_call_seconds", "How long the NFS server took to answer, retries included"},
    {"lockd.", "message", "holdfast_mount_lockd_messages_total", "Messages sent to lockd", "ld.",
     "holdfast_mount_lock_call_seconds",
     "How long a call for locks took, decided by lockd or, under a token, here"},
};

constexpr std::string_view kByteCells[] = {"fuse.bytes_in", "fuse.bytes_out", "nfs.bytes_written",
                                           "nfs.bytes_received"};

bool is_plain(const std::string& cell) {
  for (const auto& plain : kCounts)
    if (cell == plain.cell) return true;
  for (const auto& bytes : kByteCells)
    if (cell == bytes) return true;
  return false;
}

void declare(Families& out) {
  out.declare(Kind::kGauge, kUp, "1 if the mount's process lives; 0 if it is dead or hides itself");
  out.declare(Kind::kGauge, kInfo, "Always 1; the labels tell what is mounted");
  out.declare(Kind::kGauge, kMargin,
              "What is left of the lease; negative: it is over, and the mount stands still");
  out.declare(Kind::kCounter, kSuspended, "Time the mount stood still because its lease was over");
  out.declare(Kind::kCounter, kBytes, "Bytes moved, by kind");
  for (const auto& plain : kCounts)
    out.declare(Kind::kCounter, plain.name, plain.help);
  for (const auto& gauge : kGauges)
    out.declare(Kind::kGauge, gauge.name, gauge.help);
  for (const auto& one : kLabelled) {
    out.declare(Kind::kCounter, one.count, one.count_help);
    out.declare(Kind::kHistogram, one.timing, one.timing_help);
  }
}

std::uint64_t value_of(const fs::counters::Counts& cells, const std::string& name) {
  const auto at = cells.find(name);
  return at == cells.end() ? 0 : at->second;
}

Labels with(Labels labels, const char* name, std::string value) {
  labels.emplace_back(name, std::move(value));
  return labels;
}

void fill_lease(Families& out, const Labels& mount, const fs::counters::Counts& counts,
                const fs::counters::Gauges& gauges, Instant now) {
  const auto now_ns = static_cast<double>(now.time_since_epoch().count());
  if (const auto deadline = value_of(gauges, "lease.deadline_ns"); deadline != 0)
    out.set(kMargin, (static_cast<double>(deadline) - now_ns) / 1e9, mount);
  double suspended = static_cast<double>(value_of(counts, "lease.suspended_us")) / 1e6;
  if (const auto since = value_of(gauges, "lease.suspended_ns"); since != 0)
    suspended += (now_ns - static_cast<double>(since)) / 1e9;
  out.set(kSuspended, suspended, mount);
}

void fill(Families& out, const Labels& mount, const fs::counters::Reading& page, Instant now) {
  const auto counts = page.counts();
  const auto gauges = page.gauges();
  for (const auto& plain : kCounts)
    out.set(plain.name, static_cast<double>(value_of(counts, plain.cell)), mount);
  for (const auto& gauge : kGauges)
    out.set(gauge.name, static_cast<double>(value_of(gauges, gauge.cell)), mount);
  for (const auto& bytes : kByteCells)
    out.set(kBytes, static_cast<double>(value_of(counts, std::string(bytes))),
            with(mount, "kind", std::string(bytes).replace(bytes.find(".bytes_"), 7, "_")));
  fill_lease(out, mount, counts, gauges, now);
  const auto timings = page.timings();
  for (const auto& one : kLabelled) {
    const std::string prefix = one.prefix;
    const std::string timing_prefix = one.timing_prefix;
    for (const auto& [cell, count] : counts)
      if (cell.starts_with(prefix) && !is_plain(cell))
        out.set(one.count, static_cast<double>(count),
                with(mount, one.label, cell.substr(prefix.size())));
    for (const auto& [cell, histogram] : timings)
      if (cell.starts_with(timing_prefix))
        out.set(one.timing, histogram, with(mount, one.label, cell.substr(timing_prefix.size())));
  }
}

}  // namespace

std::string mounts_as_metrics(const std::vector<KnownMount>& mounts, Instant now) {
  Families out;
  declare(out);
  for (const KnownMount& known : mounts) {
    const Labels mount{{"connection", known.connection}, {"mount", known.path}};
    out.set(kUp, known.page ? 1 : 0, mount);
    out.set(kInfo, 1, with(mount, "source", known.source));
    if (known.page) fill(out, mount, *known.page, now);
  }
  return out.text();
}

}  // namespace holdfast::cli
