#include "cli/bench/fs/result.h"

#include "holdfast/base/json.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include <fmt/format.h>

namespace holdfast::bench::fs {
namespace {

bool is_bytes(std::string_view counter) {
  return counter.find(".bytes_") != std::string_view::npos;
}

std::string number(double value) {
  return fmt::format("{:.{}f}", value, std::abs(value) < 100 ? 1 : 0);
}

std::string json_number(std::optional<double> value) {
  if (!value || !std::isfinite(*value)) return "null";
  return fmt::format("{:.6g}", *value);
}

/// "WRITE 3.5, COMMIT 1.0": calls to the storage, the most frequent first.
std::string which(const Result& result) {
  constexpr std::string_view kPrefix = "nfs.";
  std::vector<std::pair<double, std::string>> calls;
  for (const auto& [name, count] : *result.calls) {
    const double each = static_cast<double>(count) / static_cast<double>(result.operations());
    if (name.starts_with(kPrefix) && !is_bytes(name) && each >= 0.05)
      calls.emplace_back(each, name.substr(kPrefix.size()));
  }
  std::sort(calls.rbegin(), calls.rend());
  std::string out;
  for (const auto& [each, name] : calls)
    out += fmt::format("{}{} {:.1f}", out.empty() ? "" : ", ", name, each);
  return out;
}

std::string json_calls(const Result& result) {
  if (!result.calls || result.operations() == 0) return "null";
  std::string out;
  for (const auto& [name, count] : *result.calls) {
    out += fmt::format(
        "{}{}:{}", out.empty() ? "" : ",", json_string(name),
        json_number(static_cast<double>(count) / static_cast<double>(result.operations())));
  }
  return "{" + out + "}";
}

std::string json_text(const std::string& text) {
  return text.empty() ? "null" : json_string(text);
}

std::string json_shares(const Result& result) {
  std::string out;
  for (std::size_t i = 0; i < result.workers.size(); ++i) {
    const Latencies& one = result.workers[i];
    out += fmt::format(R"({}{{"share":{},"p50_us":{},"p99_us":{},"max_us":{}}})", i == 0 ? "" : ",",
                       json_number(result.shares()[i]), json_number(one.percentile(0.5)),
                       json_number(one.percentile(0.99)), json_number(one.longest()));
  }
  return "[" + out + "]";
}

std::string to_json(const Result& result) {
  const Latencies all = result.latencies();
  const bool measured = all.count() > 0;
  const auto unless_empty = [&](double value) {
    return json_number(measured ? std::optional(value) : std::nullopt);
  };
  std::string out = fmt::format(R"({{"name":{},"place":{},"operation":{},"unit":"{}",)",
                                json_string(result.name), json_string(result.place),
                                json_string(result.text), result.megabytes ? "MiB" : "operation");
  out += fmt::format(R"("ops_per_s":{},"p50_us":{},"p99_us":{},"max_us":{},)",
                     unless_empty(measured ? result.ops_per_s() : 0),
                     unless_empty(all.percentile(0.5)), unless_empty(all.percentile(0.99)),
                     unless_empty(all.longest()));
  out += fmt::format(
      R"("nfs_calls_per_op":{},"lockd_calls_per_op":{},"fuse_requests_per_op":{},"counts_per_op":{},)",
      json_number(result.calls_per_op("nfs")), json_number(result.calls_per_op("lockd")),
      json_number(result.calls_per_op("fuse")), json_calls(result));
  out += fmt::format(R"("operations":{},"seconds":{},"rounds":{},"workers":{},)", all.count(),
                     json_number(result.seconds), result.rates.size(), json_shares(result));
  return out + fmt::format(R"("skipped":{},"failure":{},"note":{}}})", json_text(result.skipped),
                           json_text(result.failure), json_text(result.note));
}

}  // namespace

void Result::add(const Phase& phase) {
  std::uint64_t operations = 0;
  workers.resize(phase.workers.size());
  for (std::size_t i = 0; i < phase.workers.size(); ++i) {
    workers[i].add(phase.workers[i].latencies);
    operations += phase.workers[i].latencies.count();
  }
  const bool first = rates.empty();
  rates.push_back(phase.seconds > 0 ? static_cast<double>(operations) / phase.seconds : 0);
  seconds += phase.seconds;
  if (!phase.calls) {
    calls.reset();
    return;
  }
  if (first) calls.emplace();
  if (!calls) return;
  for (const auto& [counter, count] : *phase.calls)
    (*calls)[counter] += count;
}

std::uint64_t Result::operations() const {
  return latencies().count();
}

double Result::ops_per_s() const {
  if (rates.empty()) return 0;
  auto sorted = rates;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

Latencies Result::latencies() const {
  Latencies all;
  for (const Latencies& one : workers)
    all.add(one);
  return all;
}

std::vector<double> Result::shares() const {
  const auto all = static_cast<double>(operations());
  std::vector<double> out;
  for (const Latencies& one : workers)
    out.push_back(all > 0 ? static_cast<double>(one.count()) / all : 0);
  return out;
}

std::optional<double> Result::calls_per_op(const std::string& kind) const {
  if (!calls || operations() == 0) return std::nullopt;
  std::uint64_t sum = 0;
  for (const auto& [counter, count] : *calls)
    if (counter.starts_with(kind + ".") && !is_bytes(counter)) sum += count;
  return static_cast<double>(sum) / static_cast<double>(operations());
}

std::string heading() {
  return fmt::format("{:<22} {:<10} {:>12} {:>10} {:>10} {:>11} {:>7} {:>7} {:>7}\n", "scenario",
                     "place", "a second", "p50 us", "p99 us", "longest us", "NFS", "lockd", "FUSE");
}

std::string to_text(const Result& result) {
  std::string out = fmt::format("{:<22} {:<10}", result.name, result.place);
  if (!result.skipped.empty()) return out + " skipped: " + result.skipped + "\n";
  if (!result.failure.empty()) return out + " FAILED: " + result.failure + "\n";
  const Latencies all = result.latencies();
  out += fmt::format(" {:>8} {:<3} {:>10} {:>10} {:>11}", number(result.ops_per_s()),
                     result.megabytes ? "MiB" : "op", number(all.percentile(0.5)),
                     number(all.percentile(0.99)), number(all.longest()));
  for (const char* kind : {"nfs", "lockd", "fuse"}) {
    const auto each = result.calls_per_op(kind);
    out += fmt::format(" {:>7}", each ? fmt::format("{:.1f}", *each) : "-");
  }
  if (result.workers.size() > 1) {
    out += "  shares";
    for (const double share : result.shares())
      out += fmt::format(" {:.0f}%", share * 100);
  }
  if (result.calls) out += "  " + which(result);
  if (!result.note.empty()) out += "  (" + result.note + ")";
  return out + "\n";
}

std::string to_json(const std::vector<Result>& results, const std::vector<std::string>& notes) {
  std::string out = R"({"scenarios":[)";
  for (const Result& result : results)
    out += (&result == results.data() ? "" : ",\n") + to_json(result);
  out += R"(],"notes":[)";
  for (const std::string& note : notes)
    out += (&note == notes.data() ? "" : ",") + json_string(note);
  return out + "]}\n";
}

}  // namespace holdfast::bench::fs
