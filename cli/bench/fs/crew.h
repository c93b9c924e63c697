#pragma once
/// Processes that measure together: each is a program of its own to the file system, as locks and
/// caches see it. They meet before every phase, so that what is counted belongs to that phase.

#include "cli/bench/fs/latencies.h"
#include "cli/bench/fs/place.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace holdfast::bench::fs {

/// Somebody wants the command to end.
class Interrupted : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct WorkerPhase {
  Latencies latencies;
  double seconds = 0;
};

struct Phase {
  std::vector<WorkerPhase> workers;
  double seconds = 0;  ///< from the first start to the last end
  std::optional<Counts> calls;
};

struct CrewBoard;  // what the processes share

class Worker {
 public:
  Worker(CrewBoard& board, std::size_t index) : board_(board), index_(index) {}
  [[nodiscard]] std::size_t index() const { return index_; }

  /// The next phase: waits for the others, then does `operation` again and again until the time is
  /// over (`count` = 0) or that many times. `at_end` runs at once after that, for instance to let
  /// go what others wait for; it is not measured, but its calls are counted.
  void measure(std::uint64_t count, const std::function<void()>& operation,
               const std::function<void()>& at_end = {});
  /// A remark for people, on how something was measured.
  void note(const std::string& text);

 private:
  CrewBoard& board_;
  std::size_t index_;
  unsigned phase_ = 0;
};

struct CrewOrder {
  std::size_t workers = 1;
  std::size_t phases = 0;
  std::chrono::nanoseconds time{0};                 ///< of a phase
  std::function<std::optional<Counts>()> counts{};  ///< asked while all stand still; may be empty
};
struct CrewOutcome {
  std::vector<Phase> phases;
  std::string error;  ///< of the first worker that failed
  std::string note;
};

/// Runs `body` in every process; it must call measure() as often as there are phases. Throws
/// Interrupted, and SetupError if processes cannot be made; they end with us in any case.
[[nodiscard]] CrewOutcome run_crew(const CrewOrder& order,
                                   const std::function<void(Worker&)>& body);

/// From now on SIGINT and SIGTERM make run_crew() throw Interrupted.
void catch_interrupts();

}  // namespace holdfast::bench::fs
