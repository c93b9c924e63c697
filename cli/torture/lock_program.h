#pragma once
/// Random lock programs with one right answer per step.

#include "cli/torture/lock_step.h"

#include <cstdint>
#include <vector>

namespace holdfast::torture {

struct ProgramStep {
  Step step;
  Expected expected;
};

struct Program {
  int procs;  ///< alive at the start
  std::vector<ProgramStep> steps;
};

/// The program of `seed`: the same on every machine. Pure.
[[nodiscard]] Program make_program(std::uint64_t seed, std::size_t steps_max);

}  // namespace holdfast::torture
