#pragma once
/// What is wrong, what that means for the data, and what to do, from facts. Pure.

#include "cli/doctor/facts.h"

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::cli {

enum class Severity {
  kFine,
  kNote,     ///< works; worth knowing
  kProblem,  ///< does not work, or data is at risk
};
struct Finding {
  Severity severity = Severity::kFine;
  std::string check;   ///< "squash", "clock": one word, stable
  std::string what;    ///< one sentence
  std::string means;   ///< for the data; empty if fine
  std::string advice;  ///< empty if fine
};

[[nodiscard]] std::vector<Finding> judge(const Facts& facts);

// Its parts.
void judge_node(const NodeFacts& node, std::vector<Finding>& findings);
void judge_mount(const MountFacts& mount, std::vector<Finding>& findings);
void judge_export(const ExportFacts& server, std::vector<Finding>& findings);
void judge_lockd(const LockdFacts& lockd, std::vector<Finding>& findings);
void judge_pair(const PairFacts& pair, std::vector<Finding>& findings);

[[nodiscard]] bool any_problem(const std::vector<Finding>& findings);
[[nodiscard]] std::string findings_text(const std::vector<Finding>& findings);
[[nodiscard]] std::string findings_json(const std::vector<Finding>& findings);

}  // namespace holdfast::cli
