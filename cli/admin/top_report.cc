// Rates, from counters at two moments.

#include "cli/admin/listing.h"
#include "cli/admin/status_report.h"
#include "cli/admin/table.h"
#include "holdfast/base/json.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace holdfast::cli {
namespace {

constexpr std::size_t kOperationsShown = 8;
constexpr std::string_view kFamilies[] = {"fuse.", "nfs.", "lockd."};

bool is_bytes(std::string_view name) {
  return name.find(".bytes_") != std::string_view::npos;
}

// Of what is counted by name, a second.
using Rates = std::vector<std::pair<std::string, double>>;

Rates rates_of(const TopView& view, const MountView& mount) {
  const auto before =
      std::find_if(view.before.begin(), view.before.end(),
                   [&](const MountView& other) { return other.connection == mount.connection; });
  Rates rates;
  if (before == view.before.end()) return rates;
  for (const auto& [name, value] : mount.counts) {
    const bool known =
        std::any_of(std::begin(kFamilies), std::end(kFamilies),
                    [&](std::string_view family) { return name.starts_with(family); });
    const auto was = before->counts.find(name);
    const std::uint64_t then = was == before->counts.end() ? 0 : was->second;
    // Another mount may have got the number.
    if (!known || value <= then) continue;
    const auto more = static_cast<double>(value - then);
    rates.emplace_back(name,
                       more * 1'000.0 / static_cast<double>(std::max<std::uint64_t>(view.ms, 1)));
  }
  std::stable_sort(rates.begin(), rates.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  return rates;
}

double sum(const Rates& rates, std::string_view family) {
  double all = 0;
  for (const auto& [name, rate] : rates)
    if (name.starts_with(family) && !is_bytes(name)) all += rate;
  return all;
}

double rate(const Rates& rates, std::string_view name) {
  for (const auto& [one, value] : rates)
    if (one == name) return value;
  return 0;
}

std::string bytes_text(double bytes) {
  if (bytes < 1'000) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1'000'000) return fmt::format("{:.1f} kB", bytes / 1e3);
  return fmt::format("{:.1f} MB", bytes / 1e6);
}

std::string oldest_text(const MountView& mount, std::uint64_t now) {
  const auto* request = mount.state ? fs::state::oldest(*mount.state) : nullptr;
  if (request == nullptr) return "-";
  return fmt::format("{} {}", fs::state::span_text(now - std::min(now, request->since)),
                     request->operation);
}

}  // namespace

std::string top_text(const TopView& view) {
  std::vector<Row> rows{{"MOUNT", "HEALTH", "REQ/S", "NFS/S", "LOCKD/S", "IN/S", "OUT/S", "LOCKS",
                         "TOKENS", "OPEN", "WAITS", "OLDEST"}};
  std::string busiest;
  for (const MountView& mount : view.after) {
    const Rates rates = rates_of(view, mount);
    const auto number = [](double value) { return fmt::format("{:.0f}", value); };
    const auto& state = mount.state;
    rows.push_back(
        {cell(mount.paths.front()), std::string(health_name(mount, view.now)),
         number(sum(rates, "fuse.")), number(sum(rates, "nfs.")), number(sum(rates, "lockd.")),
         bytes_text(rate(rates, "fuse.bytes_in")), bytes_text(rate(rates, "fuse.bytes_out")),
         state ? std::to_string(state->locks) : "-", state ? std::to_string(state->tokens) : "-",
         state ? std::to_string(state->requests) : "-",
         state ? std::to_string(fs::state::lock_waits(*state)) : "-",
         oldest_text(mount, view.now)});
    std::string line;
    std::size_t shown = 0;
    for (const auto& [name, value] : rates) {
      if (is_bytes(name) || shown == kOperationsShown) continue;
      line += fmt::format("{}{} {:.0f}/s", shown++ == 0 ? "" : ", ", name, value);
    }
    if (!line.empty()) busiest += fmt::format("{}: {}\n", cell(mount.paths.front()), line);
  }
  return table(rows) + (busiest.empty() ? "" : "\n" + busiest);
}

std::string top_json(const TopView& view) {
  std::string all;
  for (const MountView& mount : view.after) {
    std::string rates;
    for (const auto& [name, value] : rates_of(view, mount))
      rates += fmt::format("{}{}:{:.1f}", rates.empty() ? "" : ",", json_string(name), value);
    all += fmt::format(R"({}{{"mountpoint":{},"health":"{}","per_second":{{{}}}}})",
                       all.empty() ? "" : ",", json_string(mount.paths.front()),
                       health_name(mount, view.now), rates);
  }
  return fmt::format("{{\"interval_ms\":{},\"mounts\":[{}]}}\n", view.ms, all);
}

}  // namespace holdfast::cli
