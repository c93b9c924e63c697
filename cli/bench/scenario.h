#pragma once
/// The load scenarios of `holdfast bench lockd`, and what they share.

#include "cli/bench/options.h"
#include "cli/bench/own_lockd.h"
#include "cli/bench/report.h"
#include "cli/bench/swarm.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast::bench {

[[nodiscard]] ScenarioResult run_sessions(const Options& options);
[[nodiscard]] ScenarioResult run_reconnect(const Options& options);
[[nodiscard]] ScenarioResult run_locks(const Options& options);
[[nodiscard]] ScenarioResult run_ranges(const Options& options);
[[nodiscard]] ScenarioResult run_waiters(const Options& options);
[[nodiscard]] ScenarioResult run_ops(const Options& options);
[[nodiscard]] ScenarioResult run_restart(const Options& options);
[[nodiscard]] ScenarioResult run_store(const Options& options);
[[nodiscard]] ScenarioResult run_hostile(const Options& options);

/// One line on stderr.
void progress(std::string_view scenario, std::string_view text);
[[nodiscard]] double seconds_since(Clock::time_point begun);
[[nodiscard]] std::chrono::milliseconds patience(const Options& options);
/// The q-th part (0..1) of `values`, which it sorts; 0 if there are none.
[[nodiscard]] double percentile(std::vector<double>& values, double q);

/// The lockd under load: the one given, or one of our own.
class Stage {
 public:
  explicit Stage(const Options& options, std::vector<std::string> more = {});
  [[nodiscard]] const Target& target() const { return target_; }
  [[nodiscard]] OwnLockd* own() { return own_.get(); }
  /// CPU time of our own lockd so far, in seconds; nothing with a lockd that was given.
  [[nodiscard]] std::optional<double> cpu() const;
  [[nodiscard]] std::optional<double> resident() const;

 private:
  Target target_;
  std::unique_ptr<OwnLockd> own_;
};

/// Opens a session for each client; a failure in `result` and false if not all came.
bool open_all(Swarm& swarm, const Options& options, ScenarioResult& result);

/// `total` requests, `depth` of them under way at a time.
struct Pipeline {
  std::size_t total = 0;
  std::size_t depth = 256;
  std::function<std::pair<std::size_t, Command>(std::uint64_t)> next;  ///< client and command
  std::function<bool(std::uint64_t, const Outcome&)> right;            ///< is this the answer?
};
struct PipelineResult {
  std::size_t done = 0;
  std::size_t wrong = 0;
  std::string first_wrong;
  double seconds = 0;
};
[[nodiscard]] PipelineResult run_pipeline(Swarm& swarm, const Pipeline& pipeline,
                                          const Options& options);
/// All done, and all right; `what` for people.
void require_all(const PipelineResult& ran, std::size_t total, std::string_view what,
                 ScenarioResult& result);

[[nodiscard]] std::string to_text(const Outcome& outcome);
[[nodiscard]] bool granted(std::uint64_t number, const Outcome& outcome);
[[nodiscard]] bool done(std::uint64_t number, const Outcome& outcome);
[[nodiscard]] bool in_the_way(std::uint64_t number, const Outcome& outcome);

[[nodiscard]] FileKey file_key(std::uint64_t file);
[[nodiscard]] LockRequest exclusive(std::uint64_t file, std::uint64_t owner,
                                    ByteRange range = ByteRange::whole_file());
[[nodiscard]] UnlockRequest unlock(std::uint64_t file, std::uint64_t owner,
                                   ByteRange range = ByteRange::whole_file());
/// Asked by an owner that holds nothing.
[[nodiscard]] QueryRequest query(std::uint64_t file, ByteRange range = ByteRange::whole_file());
[[nodiscard]] HeldLock as_held(const LockRequest& request);

}  // namespace holdfast::bench
