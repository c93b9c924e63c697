#pragma once
/// Virtual time, the queue of events, chance, the trace and the verdict of one run. One thread.

#include "tests/sim/action.h"
#include "tests/sim/rng.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace holdfast::sim {

/// True time since the start of the run. No program sees it: each has a NodeClock.
using Time = Duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Something that can be stopped and continued (SIGSTOP), and die. Events that reach a frozen
/// process wait for its thaw, in order; events for a dead one are gone.
class Process {
 public:
  Process() = default;
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] bool alive() const { return alive_; }
  [[nodiscard]] bool frozen() const { return frozen_ > 0; }

 protected:
  ~Process() = default;
  void born() {
    alive_ = true;
    ++life_;
  }
  void died() {
    alive_ = false;
    ++life_;
    waiting_.clear();
  }

 private:
  friend class World;
  bool alive_ = false;
  unsigned frozen_ = 0;  // faults may overlap
  std::uint64_t life_ = 0;
  std::deque<Action> waiting_;
};

struct Violation {
  std::string oracle;
  std::string what;
  Time at{};
};

class World {
 public:
  explicit World(std::uint64_t seed) : rng(seed) {}

  Rng rng;
  bool tracing = false;

  [[nodiscard]] Time now() const { return now_; }
  /// `process`: null for what no freeze and no death concerns (the network, the storage).
  void at(Time when, Process* process, Action action);
  void in(Time delay, Process* process, Action action) {
    at(now_ + delay, process, std::move(action));
  }
  /// Runs the next event; false: none is left or it is later than `until`.
  bool step(Time until);

  void freeze(Process& process) { ++process.frozen_; }
  void thaw(Process& process);

  /// Something is out of order, for so long at least: who waits is owed an answer from then on.
  void disturbed(Duration lasts) { calm_from_ = std::max(calm_from_, now_ + lasts); }
  [[nodiscard]] Time calm_from() const { return calm_from_; }

  /// The first violation ends the run.
  void violation(std::string oracle, std::string what);
  [[nodiscard]] const std::optional<Violation>& violated() const { return violation_; }

  template <class... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    if (tracing) write_note(fmt::format(format, std::forward<Args>(args)...));
  }
  [[nodiscard]] const std::deque<std::string>& trace() const { return trace_; }

  std::uint64_t lock_operations = 0;
  std::uint64_t storage_operations = 0;
  std::uint64_t events = 0;

 private:
  struct Event {
    Process* process;
    std::uint64_t life;
    Action action;
  };
  struct Key {
    Time when;
    std::uint64_t seq;
    std::uint32_t slot;
    friend bool operator>(const Key& a, const Key& b) {
      return a.when != b.when ? a.when > b.when : a.seq > b.seq;
    }
  };
  void write_note(std::string text);

  Time now_{};
  Time calm_from_{};
  std::uint64_t seq_ = 0;
  std::priority_queue<Key, std::vector<Key>, std::greater<>> queue_;
  std::deque<Event> slots_;
  std::vector<std::uint32_t> free_;
  std::optional<Violation> violation_;
  std::deque<std::string> trace_;
};

}  // namespace holdfast::sim
