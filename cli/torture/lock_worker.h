#pragma once
/// A process of a lock program: takes one step at a time from its socket and answers.

#include "cli/torture/lock_step.h"

#include <array>
#include <cstdint>
#include <string>

namespace holdfast::torture {

/// From coordinator to worker. `path` of the file is in the worker already.
struct Command {
  std::uint64_t sequence;
  Step step;
};
struct Answer {
  std::uint64_t sequence;
  std::int32_t error;  ///< 0 or errno
  std::int32_t pid;    ///< kFork: of the child
  LockInfo shown;      ///< kGet; holder = the pid as the kernel gave it
};

struct WorkerSetup {
  std::array<std::string, kFiles> files;  ///< paths through this worker's directory
  std::array<int, kProcsMax> sockets;     ///< the workers' ends, by process number
};

/// Serves until the socket closes; returns the exit code. Does not return from exec and exit.
int serve_lock_steps(const WorkerSetup& setup, int proc);

/// Name and argument of the hidden sub-command that goes on after an exec.
inline constexpr const char* kAfterExec = "torture-after-exec";
int serve_after_exec(const std::string& state);

}  // namespace holdfast::torture
