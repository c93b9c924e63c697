#pragma once
/// Keeps a number of workers busy for a time, kills some, replaces them, and stops them in order.

#include "cli/torture/arena.h"

#include <chrono>
#include <functional>
#include <string>

namespace holdfast::torture {

struct WorkerId {
  std::uint32_t number;  ///< unique in the run
  std::size_t dir;       ///< the directory it works in
};

struct Load {
  std::string title;  ///< for progress lines
  std::chrono::milliseconds time;
  unsigned workers;
  bool kills = true;
  /// Runs in the worker until `arena.shared().stop`; 0 = ended as asked.
  std::function<int(WorkerId)> body;
  /// The directory of the n-th place; empty = spread over all.
  std::function<std::size_t(unsigned)> dir_of = {};
};

/// Returns the number of workers killed. A worker that ends by itself, or does not end when asked,
/// is reported as a violation.
std::uint64_t run_load(Arena& arena, const Load& load, std::uint64_t seed);

/// A progress line on stderr.
void progress(const std::string& text);

}  // namespace holdfast::torture
