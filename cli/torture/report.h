#pragma once
/// What a run found: per mode its operations, faults and violations, and the verdict in words.

#include "cli/torture/options.h"

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::torture {

/// One broken promise, with what is needed to believe it.
struct Violation {
  std::string what;      ///< one line: which promise broke
  std::string where;     ///< directory, file, range
  std::string evidence;  ///< history excerpt, values
};

struct ModeResult {
  std::string mode{};
  std::uint64_t ops = 0;
  std::uint64_t faults = 0;
  std::vector<Violation> violations{};
  std::uint64_t violations_dropped = 0;  ///< more of the same, only counted
  std::vector<std::string> notes{};      ///< facts worth telling that are no violation
};

struct RunReport {
  Options options;
  std::vector<ModeResult> modes;
  std::string evidence_dir;  ///< empty if nothing was kept
  std::string replay;        ///< the command that runs the same again
  [[nodiscard]] bool passed() const;
};

/// Kinds of violation printed per mode, each with its first example.
inline constexpr std::size_t kKindsShown = 10;
/// Violations of one kind remembered per mode; a broken lock service makes them by the thousand.
inline constexpr std::size_t kViolationsKept = 100;

[[nodiscard]] std::string to_text(const RunReport& report);
[[nodiscard]] std::string to_json(const RunReport& report);
/// What a failure of `mode` means for the owner of the data.
[[nodiscard]] std::string meaning_of(const std::string& mode);

}  // namespace holdfast::torture
