#pragma once
/// The place of a run: a fresh sub-directory seen through every target directory, a local directory
/// for the histories, shared counters, and the processes.

#include "cli/torture/herd.h"
#include "cli/torture/history.h"
#include "cli/torture/options.h"

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::torture {

/// What the directories or the machine are not fit for (exit code 2, not a violation).
class SetupError : public std::exception {
 public:
  explicit SetupError(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

/// Shared memory between the owner and all workers.
struct Shared {
  std::atomic<std::uint64_t> ops;
  std::atomic<std::uint64_t> busy;
  std::atomic<std::uint64_t> tolerated;
  std::atomic<std::uint64_t> violations;
  std::atomic<bool> stop;
  std::atomic<bool> storm_over;
  std::atomic<std::uint64_t> storm_ops;
  std::atomic<std::uint64_t> storm_gust;  ///< the number of the last one
  std::atomic<std::uint32_t> turn;  ///< whose workers go on: 0 all, else those of directory + 1
  std::atomic<std::uint64_t> reports_by_kind[64];  ///< slot = hash of the violation's kind
  std::atomic<std::uint64_t> scratch[64];          ///< meaning is each mode's own
};

class Arena {
 public:
  /// Makes the sub-directory through dirs[0] and looks for it through the others.
  /// Throws SetupError if they do not show the same directory.
  explicit Arena(const Options& options);
  /// Removes the sub-directory (unless --keep) and, if `keep_evidence` was never called, the local
  /// directory.
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] std::size_t dir_count() const { return work_dirs_.size(); }
  /// `name` as seen through directory `dir`.
  [[nodiscard]] std::string path(std::size_t dir, const std::string& name) const {
    return work_dirs_[dir % work_dirs_.size()] + "/" + name;
  }
  [[nodiscard]] const std::string& local_dir() const { return local_dir_; }
  [[nodiscard]] Shared& shared() { return *shared_; }
  [[nodiscard]] Herd& herd() { return herd_; }
  void keep_evidence() { keep_local_ = true; }

  /// Workers, between two operations: whether those of `dir` may go on (Storm), and the wait for
  /// it, which ends with Shared::stop.
  [[nodiscard]] bool has_turn(std::size_t dir) const;
  void await_turn(std::size_t dir) const;

  /// Unique number for the next worker process of this run.
  [[nodiscard]] std::uint32_t next_worker() { return ++workers_started_; }

  /// Starts a mode: own history directory, counters at zero.
  void begin_mode(const std::string& mode);
  /// Any process: writes a violation down where the owner will find it.
  void report(const Violation& violation);
  /// Owner: adds what was reported since begin_mode, the operations and the usual notes.
  void finish_mode(ModeResult& result) const;
  /// History file of one worker.
  [[nodiscard]] std::string history_path(std::uint32_t worker) const;
  /// Writes down, beside the histories, which directory a worker has worked in: "number dir".
  void note_worker(std::uint32_t worker, std::size_t dir) const;
  /// All records written since begin_mode, per worker in order.
  [[nodiscard]] std::vector<Record> load_history() const;

  /// Runs `body` in a process of its own; false (and a violation "hangs") if it does not end within
  /// the patience of the options, or fails.
  bool run_bounded(const std::string& what, const std::function<int()>& body);

 private:
  [[nodiscard]] std::vector<Violation> reported() const;
  void make_local_dir();
  void make_work_dirs();
  void check_same_directory();

  Options options_;
  Herd herd_;
  Shared* shared_ = nullptr;
  std::vector<std::string> work_dirs_;
  std::string local_dir_;
  std::string mode_dir_;
  bool keep_local_ = false;
  std::uint32_t workers_started_ = 0;
};

/// Appends records to a worker's history file.
class HistoryWriter {
 public:
  HistoryWriter(const Arena& arena, std::uint32_t worker);
  void add(Event event, std::uint16_t resource, std::uint64_t value = 0,
           Access access = Access::kExclusive);

 private:
  UniqueFd fd_;
  std::uint32_t worker_;
};

[[nodiscard]] std::uint64_t monotonic_ns();

/// Set by SIGINT and SIGTERM in the owner: finish in order.
[[nodiscard]] bool interrupted();
void install_interrupt_handler();

}  // namespace holdfast::torture
