// Many locks: memory, lookup, and a restart that has to learn all of them again.
#include "cli/bench/scenario.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::bench {
namespace {

constexpr std::size_t kFew = 1'000;
constexpr std::size_t kLookups = 100'000;
constexpr std::uint64_t kStride = 16;  // a lock every so many bytes, so that none touch
constexpr std::uint64_t kLength = 8;

// Lock number i lies in file i % files; every other lock of a file belongs to another session.
class Layout {
 public:
  explicit Layout(const Options& options)
      : locks_(options.locks),
        files_(std::min(options.files, options.locks)),
        sessions_(options.holders) {}

  [[nodiscard]] std::size_t session(std::uint64_t i) const {
    return static_cast<std::size_t>((i % files_ + i / files_ % 2) % sessions_);
  }
  [[nodiscard]] LockRequest lock(std::uint64_t i) const {
    const std::uint64_t file = i % files_;
    const std::uint64_t in_file = i / files_;
    return exclusive(file, file * 2 + in_file % 2 + 1, range(in_file));
  }
  [[nodiscard]] QueryRequest lookup(std::uint64_t i) const {
    return query(i % files_, range(i / files_));
  }
  [[nodiscard]] std::vector<HeldLock> held_by(std::size_t session) const {
    std::vector<HeldLock> held;
    for (std::uint64_t in_file = 0; in_file * files_ < locks_; ++in_file) {
      const std::uint64_t first = (session + sessions_ - in_file % 2 % sessions_) % sessions_;
      for (std::uint64_t file = first; file < files_; file += sessions_) {
        const std::uint64_t i = in_file * files_ + file;
        if (i < locks_) held.push_back(as_held(lock(i)));
      }
    }
    return held;
  }

 private:
  static ByteRange range(std::uint64_t in_file) {
    return *ByteRange::make(in_file * kStride, in_file * kStride + kLength);
  }
  std::size_t locks_;
  std::size_t files_;
  std::size_t sessions_;
};

bool take_locks(Swarm& swarm, const Layout& layout, std::size_t from, std::size_t to,
                const Options& options, ScenarioResult& result) {
  const Pipeline locking{.total = to - from,
                         .depth = 1024,
                         .next =
                             [&](std::uint64_t i) {
                               return std::pair<std::size_t, Command>(layout.session(from + i),
                                                                      layout.lock(from + i));
                             },
                         .right = granted};
  const auto ran = run_pipeline(swarm, locking, options);
  require_all(ran, to - from, "taking the locks", result);
  return ran.done == to - from && ran.wrong == 0;
}

// Queries spread over the first `held` locks. The CPU time of one, in microseconds.
std::optional<double> lookups(Stage& stage, Swarm& swarm, const Layout& layout, std::size_t held,
                              const Options& options, ScenarioResult& result) {
  const std::size_t total = std::min(kLookups, 10 * options.locks);
  const Pipeline asking{.total = total,
                        .next =
                            [&](std::uint64_t i) {
                              // A large odd step meets all of them, in no order.
                              const std::uint64_t which = i * 2'654'435'761U % held;
                              return std::pair<std::size_t, Command>(i % swarm.size(),
                                                                     layout.lookup(which));
                            },
                        .right = in_the_way};
  const auto before = stage.cpu();
  const auto ran = run_pipeline(swarm, asking, options);
  const auto after = stage.cpu();
  require_all(ran, total, fmt::format("lookups with {} locks held", held), result);
  if (!before || !after) return std::nullopt;
  return (*after - *before) / static_cast<double>(total) * 1e6;
}

// By what lockd itself says.
void count_locks(OwnLockd& own, std::size_t expected, ScenarioResult& result) {
  const auto list = own.sessions();
  if (!list || list->truncated) {
    result.notes.push_back("lockd's own count of the locks was not to be had");
    return;
  }
  std::uint64_t locks = 0;
  for (const auto& session : list->sessions)
    locks += session.locks;
  result.require(locks == expected, fmt::format("lockd counts {} locks, not {}", locks, expected));
}

std::string in_words(const Options& options) {
  return fmt::format("{} locks over {} files, held by {} sessions", options.locks,
                     std::min(options.files, options.locks), options.holders);
}

}  // namespace

ScenarioResult run_locks(const Options& options) {
  ScenarioResult result{.name = "locks", .load = in_words(options)};
  Stage stage(options);
  const Layout layout(options);
  Swarm swarm(stage.target(), options.holders);
  if (!open_all(swarm, options, result)) return result;
  const auto empty = stage.resident();
  const std::size_t few = std::min(kFew, options.locks);
  if (!take_locks(swarm, layout, 0, few, options, result)) return result;
  const auto with_few = lookups(stage, swarm, layout, few, options, result);
  progress(result.name, fmt::format("taking {} locks", options.locks));
  const auto begun = Clock::now();
  if (!take_locks(swarm, layout, few, options.locks, options, result)) return result;
  result.figure("locks taken a second", static_cast<double>(options.locks) / seconds_since(begun),
                "/s");
  const auto full = stage.resident();
  progress(result.name, "looking them up");
  const auto with_all = lookups(stage, swarm, layout, options.locks, options, result);
  if (empty && full) {
    result.figure("memory for a lock", (*full - *empty) / static_cast<double>(options.locks),
                  "bytes", "<= 200 (300 in this layout)");
  }
  if (with_few && with_all) {
    result.figure(fmt::format("lookup with {} held, CPU and network", few), *with_few, "us");
    result.figure(fmt::format("lookup with {} held, CPU and network", options.locks), *with_all,
                  "us");
    result.figure("ratio", *with_all / *with_few, "", "< 2");
  }
  if (OwnLockd* own = stage.own()) count_locks(*own, options.locks, result);
  result.notes.push_back("10 locks a file (with the default numbers), of two sessions in turn");
  return result;
}

ScenarioResult run_restart(const Options& options) {
  ScenarioResult result{.name = "restart", .load = in_words(options) + "; lockd is killed"};
  if (options.lockd) {
    result.skipped = true;
    result.notes.push_back("kills lockd, so it needs one of its own: run it without --lockd");
    return result;
  }
  Stage stage(options);
  const Layout layout(options);
  Swarm swarm(stage.target(), options.holders);
  swarm.held = [&](std::size_t client) { return layout.held_by(client); };
  if (!open_all(swarm, options, result)) return result;
  progress(result.name, fmt::format("taking {} locks", options.locks));
  if (!take_locks(swarm, layout, 0, options.locks, options, result)) return result;

  progress(result.name, "killing lockd");
  std::size_t back = 0;
  std::size_t served = 0;
  const auto begun = Clock::now();
  // A new lock: granted only when the grace period is over.
  swarm.on_up = [&](std::size_t client) {
    ++back;
    swarm.ask(client, exclusive(options.files + client, 1), client);
  };
  swarm.on_reply = [&](std::size_t, std::uint64_t, const Outcome& outcome, Clock::time_point) {
    if (std::holds_alternative<Granted>(outcome)) ++served;
  };
  stage.own()->kill_hard();
  stage.own()->start_again();
  const bool all_back = swarm.run_until([&] { return back == swarm.size(); }, patience(options));
  const double reclaimed_after = seconds_since(begun);
  result.require(all_back, fmt::format("{} of {} sessions came back; last refusal: {}", back,
                                       swarm.size(), swarm.counts().last_refusal));
  const bool all_served =
      swarm.run_until([&] { return served == swarm.size(); }, patience(options));
  result.figure("all locks reclaimed after", reclaimed_after, "s");
  result.figure("serving again after", seconds_since(begun), "s", "<= 5");
  result.require(all_served, fmt::format("{} of {} got a lock afterwards", served, swarm.size()));
  const auto& counts = swarm.counts();
  result.require(counts.replaced + counts.losses + counts.ended == 0,
                 fmt::format("lost: {} sessions unknown, {} ended, {} files", counts.replaced,
                             counts.ended, counts.losses));
  if (const auto cpu = stage.cpu()) result.figure("lockd's CPU since its start", *cpu, "s");
  if (const auto resident = stage.resident()) {
    result.figure("lockd's memory", *resident / (1 << 20), "MiB");
  }
  swarm.on_up = nullptr;
  if (all_served) {
    progress(result.name, "looking for every lock");
    const Pipeline asking{.total = options.locks,
                          .depth = 1024,
                          .next =
                              [&](std::uint64_t i) {
                                return std::pair<std::size_t, Command>(i % swarm.size(),
                                                                       layout.lookup(i));
                              },
                          .right = in_the_way};
    require_all(run_pipeline(swarm, asking, options), options.locks, "every lock is held as before",
                result);
    count_locks(*stage.own(), options.locks + swarm.size(), result);
  }
  return result;
}

}  // namespace holdfast::bench
