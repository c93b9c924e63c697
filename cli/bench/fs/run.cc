#include "cli/bench/fs/run.h"

#include "cli/bench/own_lockd.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include <fmt/format.h>

namespace holdfast::bench::fs {
namespace {

bool means(const std::string& name, const Kind& kind) {
  return name == kind.name || kind.name.starts_with(name + "-") ||
         std::find(kind.phases.begin(), kind.phases.end(), name) != kind.phases.end();
}

/// A scenario at one place, over all rounds.
class Course {
 public:
  Course(const Kind& kind, const Place& place, const Options& options)
      : kind_(kind), place_(place), options_(options) {
    auto names = kind.phases;
    if (names.empty()) names.push_back(kind.name);
    for (const std::string& name : names) {
      Result result;
      result.name = name;
      result.place = place.name();
      result.text = kind.text;
      result.megabytes = kind.megabytes;
      if (place.mounts() < kind.mounts) {
        result.skipped = fmt::format("needs {} directories of one file system, {} given",
                                     kind.mounts, place.mounts());
      }
      results_.push_back(std::move(result));
    }
    ended_ = place.mounts() < kind.mounts;
    if (!ended_) scenario_ = kind.make(place, options);
  }

  void prepare() {
    alone([&](Worker&) { scenario_->prepare(); });
  }

  void round() {
    if (ended_) return;
    CrewOrder order;
    order.workers = kind_.workers;
    order.phases = results_.size();
    order.time = std::chrono::nanoseconds(static_cast<std::int64_t>(options_.seconds * 1e9));
    order.counts = [this] { return place_.settled_counts(); };
    const CrewOutcome outcome = run_crew(order, [&](Worker& worker) { scenario_->work(worker); });
    for (std::size_t i = 0; i < outcome.phases.size(); ++i)
      results_[i].add(outcome.phases[i]);
    for (Result& result : results_)
      if (outcome.note.starts_with(result.name + ": "))
        result.note = outcome.note.substr(result.name.size() + 2);
    end_if(outcome.error);
  }

  void judge() {
    std::uint64_t operations = 0;
    for (const Result& result : results_)
      operations += result.operations();
    alone([&](Worker&) { scenario_->judge(operations); });
  }

  [[nodiscard]] const std::vector<Result>& results() const { return results_; }
  /// Skipped or failed: nothing more will be measured.
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  void alone(const std::function<void(Worker&)>& body) {
    if (!ended_) end_if(run_crew(CrewOrder{}, body).error);
  }
  void end_if(const std::string& error) {
    if (error.empty()) return;
    ended_ = true;
    for (Result& result : results_)
      result.failure = error;
  }

  const Kind& kind_;
  const Place& place_;
  const Options& options_;
  std::unique_ptr<Scenario> scenario_;
  std::vector<Result> results_;
  bool ended_ = false;
};

}  // namespace

std::vector<Kind> chosen_kinds(const std::vector<std::string>& only) {
  std::vector<Kind> all = all_kinds();
  for (const std::string& name : only) {
    if (std::any_of(all.begin(), all.end(), [&](const Kind& kind) { return means(name, kind); }))
      continue;
    std::string names;
    for (const Kind& kind : all)
      names += " " + kind.name;
    throw SetupError(fmt::format("no scenario is called {}. There are:{}", name, names));
  }
  if (only.empty()) return all;
  std::erase_if(all, [&](const Kind& kind) {
    return std::none_of(only.begin(), only.end(),
                        [&](const std::string& name) { return means(name, kind); });
  });
  return all;
}

std::vector<Result> run_all(const Options& options, const Listener& listener) {
  const auto kinds = chosen_kinds(options.only);
  std::vector<std::unique_ptr<Place>> places;
  for (const PlaceName& name : options.places)
    places.push_back(std::make_unique<Place>(name));
  std::vector<Result> all;
  for (const Kind& kind : kinds) {
    std::vector<std::unique_ptr<Course>> courses;
    courses.reserve(places.size());
    for (const auto& place : places)
      courses.push_back(std::make_unique<Course>(kind, *place, options));
    const bool any = std::any_of(courses.begin(), courses.end(),
                                 [](const auto& course) { return !course->ended(); });
    if (any) listener.progress(fmt::format("{}: preparing", kind.name));
    for (const auto& course : courses)
      course->prepare();
    for (unsigned round = 1; any && round <= options.rounds; ++round) {
      listener.progress(fmt::format("{}: round {} of {}", kind.name, round, options.rounds));
      for (const auto& course : courses)
        course->round();
    }
    for (const auto& course : courses)
      course->judge();
    for (std::size_t i = 0; i < courses.front()->results().size(); ++i) {
      for (const auto& course : courses) {
        all.push_back(course->results()[i]);
        listener.done(all.back());
      }
    }
  }
  return all;
}

}  // namespace holdfast::bench::fs
