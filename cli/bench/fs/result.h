#pragma once
/// What one scenario measured at one place.

#include "cli/bench/fs/crew.h"

#include <optional>
#include <string>
#include <vector>

namespace holdfast::bench::fs {

struct Result {
  std::string name;
  std::string place;
  std::string text;  ///< what one operation is
  bool megabytes = false;
  std::string skipped;  ///< why it was not measured
  std::string failure;  ///< what was found wrong; times are told, never judged
  std::string note;

  std::vector<double> rates;  ///< operations a second, of each round
  std::vector<Latencies> workers;
  double seconds = 0;
  std::optional<Counts> calls;  ///< of all rounds

  void add(const Phase& phase);
  [[nodiscard]] std::uint64_t operations() const;
  /// Median of the rounds.
  [[nodiscard]] double ops_per_s() const;
  [[nodiscard]] Latencies latencies() const;
  /// Of each worker, in operations; they add up to 1.
  [[nodiscard]] std::vector<double> shares() const;
  /// Nothing where nobody counts. `kind`: "nfs", "lockd", "fuse"; bytes are no calls.
  [[nodiscard]] std::optional<double> calls_per_op(const std::string& kind) const;
};

/// One line for people, and what `fs` has found wrong.
[[nodiscard]] std::string heading();
[[nodiscard]] std::string to_text(const Result& result);
[[nodiscard]] std::string to_json(const std::vector<Result>& results,
                                  const std::vector<std::string>& notes);

}  // namespace holdfast::bench::fs
