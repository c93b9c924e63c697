#include "cli/bench/report.h"

#include "holdfast/base/json.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace holdfast::bench {
namespace {

std::string number(double value) {
  if (value == std::floor(value) || std::abs(value) >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, std::abs(value) < 10 ? 2 : 1);
}

std::string verdict(const ScenarioResult& result) {
  if (result.skipped) return "skipped";
  return result.failures.empty() ? "PASS" : "FAIL";
}

std::string json_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const auto& text : texts)
    out += (out.size() > 1 ? "," : "") + json_string(text);
  return out + "]";
}

}  // namespace

void ScenarioResult::figure(std::string what, double value, std::string unit, std::string target) {
  figures.push_back({std::move(what), value, std::move(unit), std::move(target)});
}

void ScenarioResult::require(bool holds, std::string failure) {
  if (!holds) failures.push_back(std::move(failure));
}

bool Report::passed() const {
  return std::all_of(scenarios.begin(), scenarios.end(),
                     [](const ScenarioResult& one) { return one.failures.empty(); });
}

std::string to_text(const ScenarioResult& result) {
  std::string out = fmt::format("{}: {} ({})\n", result.name, verdict(result), result.load);
  for (const auto& line : result.table)
    out += "  " + line + '\n';
  for (const Figure& figure : result.figures) {
    if (!result.table.empty()) break;
    out += fmt::format("  {:<50}{:>12} {:<12}", figure.name, number(figure.value), figure.unit);
    if (!figure.target.empty()) out += " aim: " + figure.target;
    while (out.back() == ' ')
      out.pop_back();
    out += '\n';
  }
  for (const auto& failure : result.failures)
    out += "  FAILED: " + failure + '\n';
  for (const auto& note : result.notes)
    out += "  note: " + note + '\n';
  return out;
}

std::string conclusion(const Report& report) {
  std::string out;
  for (const auto& note : report.notes)
    out += "note: " + note + '\n';
  return out + (report.passed() ? "PASS\n" : "FAIL\n");
}

std::string to_json(const Report& report) {
  std::string out =
      fmt::format("{{\"verdict\":\"{}\",\"scenarios\":[", report.passed() ? "PASS" : "FAIL");
  for (std::size_t i = 0; i < report.scenarios.size(); ++i) {
    const auto& result = report.scenarios[i];
    out += fmt::format("{}{{\"name\":{},\"verdict\":{},\"load\":{},\"figures\":[", i ? "," : "",
                       json_string(result.name), json_string(verdict(result)),
                       json_string(result.load));
    for (std::size_t k = 0; k < result.figures.size(); ++k) {
      const Figure& figure = result.figures[k];
      out += fmt::format("{}{{\"name\":{},\"value\":{:.6g},\"unit\":{},\"aim\":{}}}", k ? "," : "",
                         json_string(figure.name), std::isfinite(figure.value) ? figure.value : 0.0,
                         json_string(figure.unit), json_string(figure.target));
    }
    out += fmt::format("],\"failures\":{},\"notes\":{}}}", json_list(result.failures),
                       json_list(result.notes));
  }
  return out + fmt::format("],\"notes\":{}}}\n", json_list(report.notes));
}

}  // namespace holdfast::bench
