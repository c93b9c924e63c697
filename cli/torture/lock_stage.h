#pragma once
/// Runs one lock program with real processes, one step at a time, against what the model expects.

#include "cli/torture/herd.h"
#include "cli/torture/lock_program.h"
#include "cli/torture/lock_worker.h"

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace holdfast::torture {

/// Where a program runs.
struct Place {
  /// Paths of the kFiles files, by view; the files exist and are empty.
  std::vector<std::array<std::string, kFiles>> views;
  /// True: F_GETLK must name the holder always. Over several mounts or FUSE the kernel cannot.
  bool strict_holders = false;
  /// No answer for so long = the step waits. The same for reference and target.
  std::chrono::milliseconds until_waiting{30};
  /// A step that must answer and does not for so long has failed.
  std::chrono::milliseconds patience{20'000};
};

struct Mismatch {
  std::size_t step;
  std::string expected;
  std::string got;
};

class LockStage {
 public:
  LockStage(Herd& herd, const Place& place, std::size_t first_view);
  ~LockStage();
  LockStage(const LockStage&) = delete;
  LockStage& operator=(const LockStage&) = delete;

  /// Nothing = every step answered as expected. The first difference ends the program, because
  /// what follows would be judged against a state that is not there.
  [[nodiscard]] std::optional<Mismatch> run(const Program& program);

 private:
  struct Proc {
    UniqueFd ours;
    UniqueFd theirs;
    pid_t pid = -1;
    std::size_t view = 0;
    bool child_of_ours = false;
    bool waiting = false;
  };
  using Got = std::optional<Answer>;

  void start(int proc);
  /// Ends every process and waits until it is gone.
  void end_all();
  bool wait_gone(int proc);
  [[nodiscard]] Got receive(int proc, std::chrono::milliseconds patience);
  /// Nothing once the process is seen inside its lock call and has not answered for a while.
  [[nodiscard]] Got receive_unless_waiting(int proc);
  void send(int proc, const Step& step);
  [[nodiscard]] std::string judge(const ProgramStep& step, std::string& expected);
  [[nodiscard]] std::string judge_answer(const ProgramStep& step, const Answer& answer);
  [[nodiscard]] std::string judge_outside(const ProgramStep& step, std::string& expected);
  [[nodiscard]] std::string judge_waiters(const Expected& expected_now, std::string& expected);
  [[nodiscard]] bool shown_allowed(const Step& step, const LockInfo& got, const Expected& expected);
  /// A release through another mount may still be under way (FUSE: RELEASE has no reply to wait
  /// for), so a refused try may be tried again for a while.
  [[nodiscard]] bool may_retry(const Step& step) const;
  [[nodiscard]] LockInfo translate(const LockInfo& raw) const;

  Herd& herd_;
  const Place& place_;
  std::array<Proc, kProcsMax> procs_;
  std::set<std::size_t> views_that_released_;
  std::uint64_t sequence_ = 0;
  std::size_t first_view_;
};

}  // namespace holdfast::torture
