#pragma once
/// What the scenarios measured and what they found wrong. Times are told, never judged.

#include <cstddef>
#include <string>
#include <vector>

namespace holdfast::bench {

struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  std::string target;  ///< for comparison; empty: none
};

struct ScenarioResult {
  std::string name;
  std::string load;  ///< in words
  std::vector<Figure> figures{};
  std::vector<std::string> failures{};  ///< broken promises
  std::vector<std::string> notes{};
  std::vector<std::string> table{};  ///< the figures as lines for people; empty: one line each
  bool skipped = false;

  void figure(std::string what, double value, std::string unit, std::string target = {});
  /// A failure unless `holds`.
  void require(bool holds, std::string failure);
};

struct Report {
  std::vector<ScenarioResult> scenarios;
  std::vector<std::string> notes;  ///< on machine and method
  [[nodiscard]] bool passed() const;
};

[[nodiscard]] std::string to_text(const ScenarioResult& result);
/// What follows the scenarios: notes and verdict.
[[nodiscard]] std::string conclusion(const Report& report);
[[nodiscard]] std::string to_json(const Report& report);

}  // namespace holdfast::bench
