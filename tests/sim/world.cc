#include "tests/sim/world.h"

namespace holdfast::sim {
namespace {

constexpr std::size_t kTraceMax = 100'000;

}  // namespace

void World::at(Time when, Process* process, Action action) {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot] = Event{process, process == nullptr ? 0 : process->life_, std::move(action)};
  queue_.push({std::max(when, now_), ++seq_, slot});
}

bool World::step(Time until) {
  if (queue_.empty() || queue_.top().when > until || violation_) return false;
  const Key key = queue_.top();
  queue_.pop();
  now_ = key.when;
  ++events;
  Event event = std::move(slots_[key.slot]);
  free_.push_back(key.slot);
  if (event.process != nullptr) {
    if (event.process->life_ != event.life) return true;
    if (event.process->frozen()) {
      event.process->waiting_.push_back(std::move(event.action));
      return true;
    }
  }
  event.action();
  return true;
}

void World::thaw(Process& process) {
  if (process.frozen_ == 0 || --process.frozen_ > 0) return;
  for (Action& action : process.waiting_)
    at(now_, &process, std::move(action));
  process.waiting_.clear();
}

void World::violation(std::string oracle, std::string what) {
  if (violation_) return;
  note("VIOLATION {}: {}", oracle, what);
  violation_ = Violation{std::move(oracle), std::move(what), now_};
}

void World::write_note(std::string text) {
  if (trace_.size() >= kTraceMax) trace_.pop_front();
  const double at = std::chrono::duration<double>(now_).count();
  trace_.push_back(fmt::format("{:12.6f}  {}", at, text));
}

}  // namespace holdfast::sim
