// One file in a hundred thousand pieces; and how fast the simplest thing goes.
#include "cli/bench/scenario.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::bench {
namespace {

constexpr std::size_t kFew = 1'000;
constexpr std::size_t kChanges = 100'000;
constexpr std::uint64_t kStride = 4;  // three bytes held, one free
constexpr std::uint64_t kOwner = 1;
constexpr std::size_t kOpsSessions = 16;

ByteRange bytes(std::uint64_t start, std::uint64_t count) {
  return *ByteRange::make(start, start + count);
}

// Ranges [from, to) of the file, three bytes each.
bool take_ranges(Swarm& swarm, std::size_t from, std::size_t to, const Options& options,
                 ScenarioResult& result) {
  const Pipeline locking{.total = to - from,
                         .next =
                             [&](std::uint64_t i) {
                               return std::pair<std::size_t, Command>(
                                   0,
                                   exclusive(0, kOwner, bytes((from + i) * kStride, kStride - 1)));
                             },
                         .right = granted};
  const auto ran = run_pipeline(swarm, locking, options);
  require_all(ran, to - from, "taking the ranges", result);
  return ran.done == to - from && ran.wrong == 0;
}

// The middle byte of a range is unlocked (a split) and locked again (a merge). The CPU time of one
// of both, in microseconds.
std::optional<double> split_and_merge(Stage& stage, Swarm& swarm, std::size_t held,
                                      const Options& options, ScenarioResult& result) {
  const std::size_t total = std::min(kChanges, 20 * options.ranges) / 2 * 2;
  const Pipeline changing{.total = total,
                          .next =
                              [&](std::uint64_t i) {
                                const std::uint64_t which = i / 2 * 2'654'435'761U % held;
                                const ByteRange middle = bytes(which * kStride + 1, 1);
                                Command command = unlock(0, kOwner, middle);
                                if (i % 2 == 1) command = exclusive(0, kOwner, middle);
                                return std::pair<std::size_t, Command>(0, std::move(command));
                              },
                          .right =
                              [](std::uint64_t i, const Outcome& outcome) {
                                return i % 2 == 0 ? done(i, outcome) : granted(i, outcome);
                              }};
  const auto before = stage.cpu();
  const auto ran = run_pipeline(swarm, changing, options);
  const auto after = stage.cpu();
  require_all(ran, total, fmt::format("splits and merges among {} ranges", held), result);
  if (!before || !after) return std::nullopt;
  return (*after - *before) / static_cast<double>(total) * 1e6;
}

}  // namespace

ScenarioResult run_ranges(const Options& options) {
  ScenarioResult result{
      .name = "ranges",
      .load =
          fmt::format("one owner, one file, {} ranges, split and merged in turn", options.ranges)};
  Stage stage(options);
  Swarm swarm(stage.target(), 1);
  if (!open_all(swarm, options, result)) return result;
  const std::size_t few = std::min(kFew, options.ranges);
  if (!take_ranges(swarm, 0, few, options, result)) return result;
  const auto with_few = split_and_merge(stage, swarm, few, options, result);
  progress(result.name, fmt::format("taking {} ranges", options.ranges));
  if (!take_ranges(swarm, few, options.ranges, options, result)) return result;
  const auto with_all = split_and_merge(stage, swarm, options.ranges, options, result);
  if (with_few && with_all) {
    result.figure(fmt::format("split or merge among {}, CPU and network", few), *with_few, "us");
    result.figure(fmt::format("split or merge among {}, CPU and network", options.ranges),
                  *with_all, "us");
    result.figure("ratio", *with_all / *with_few, "", "< 2");
  }
  if (OwnLockd* own = stage.own()) {
    const auto list = own->sessions();
    result.require(
        list && list->sessions.size() == 1 && list->sessions.front().locks == options.ranges,
        "lockd does not count as many ranges as were left");
  }
  return result;
}

ScenarioResult run_ops(const Options& options) {
  ScenarioResult result{.name = "ops",
                        .load = fmt::format("{} requests, lock and unlock in turn, uncontended, {} "
                                            "sessions, 256 under way",
                                            options.ops, kOpsSessions)};
  Stage stage(options);
  Swarm swarm(stage.target(), kOpsSessions);
  if (!open_all(swarm, options, result)) return result;
  const std::size_t total = options.ops / 2 * 2;
  const Pipeline asking{.total = total,
                        .next =
                            [](std::uint64_t i) {
                              const std::uint64_t session = i / 2 % kOpsSessions;
                              Command command = exclusive(session, kOwner, bytes(0, 1));
                              if (i % 2 == 1) command = unlock(session, kOwner, bytes(0, 1));
                              return std::pair<std::size_t, Command>(session, std::move(command));
                            },
                        .right =
                            [](std::uint64_t i, const Outcome& outcome) {
                              return i % 2 == 1 ? done(i, outcome) : granted(i, outcome);
                            }};
  progress(result.name, fmt::format("{} requests", total));
  const auto before = stage.cpu();
  const auto ran = run_pipeline(swarm, asking, options);
  const auto after = stage.cpu();
  require_all(ran, total, "lock and unlock", result);
  result.figure("requests a second", static_cast<double>(ran.done) / ran.seconds, "/s");
  if (before && after) {
    result.figure("requests a second of lockd's CPU time",
                  static_cast<double>(ran.done) / (*after - *before), "/s a core", ">= 20000");
  }
  return result;
}

}  // namespace holdfast::bench
