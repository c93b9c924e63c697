// Thousands that want one byte: who comes first, and how long from one to the next.
#include "cli/bench/scenario.h"

#include <fmt/format.h>

namespace holdfast::bench {
namespace {

constexpr std::uint64_t kFirstHolder = 1;
constexpr std::size_t kWrongShown = 3;

ByteRange one_byte() {
  return *ByteRange::make(0, 1);
}

// Waiter w is owner w + 2 of session w % sessions.
class Queue {
 public:
  Queue(Swarm& swarm, std::size_t waiters, ScenarioResult& result)
      : swarm_(swarm), result_(result), places_(waiters) {}

  void join() {
    swarm_.on_queued = [this](std::size_t, std::uint64_t waiter, const Queued& queued) {
      if (places_[waiter] == QueuePlace{}) ++queued_;
      places_[waiter] = queued.place;
    };
    swarm_.on_reply = [this](std::size_t client, std::uint64_t waiter, const Outcome& outcome,
                             Clock::time_point) { answered(client, waiter, outcome); };
    for (std::size_t waiter = 0; waiter < places_.size(); ++waiter) {
      LockRequest request = exclusive(0, waiter + 2, one_byte());
      request.wait = Wait::kYes;
      swarm_.ask(waiter % swarm_.size(), request, waiter);
    }
  }
  void release_first_holder() {
    holder_gone_ = true;
    swarm_.ask(0, unlock(0, kFirstHolder, one_byte()), kUnlocked);
    freed_ = Clock::now();
  }
  [[nodiscard]] std::size_t queued() const { return queued_; }
  [[nodiscard]] std::size_t granted() const { return granted_; }
  [[nodiscard]] bool finished() const {
    return granted_ == places_.size() && unlocked_ == granted_ + 1;
  }
  [[nodiscard]] std::vector<double>& hand_overs() { return hand_overs_; }

 private:
  static constexpr std::uint64_t kUnlocked = ~std::uint64_t{0};

  void wrong(std::string what) {
    if (wrong_++ < kWrongShown) result_.failures.push_back(std::move(what));
  }

  void answered(std::size_t client, std::uint64_t waiter, const Outcome& outcome) {
    if (waiter == kUnlocked) {
      ++unlocked_;
      if (!std::holds_alternative<Done>(outcome)) wrong("an unlock was " + to_text(outcome));
      return;
    }
    const auto* grant = std::get_if<Granted>(&outcome);
    if (grant == nullptr) return wrong("a waiter was " + to_text(outcome));
    hand_overs_.push_back(seconds_since(freed_) * 1e3);
    ++granted_;
    // What the one before sends leaves with the next turn: two grants in one turn overlap.
    if (!holder_gone_ || swarm_.turns() == last_turn_) wrong("two hold the byte at once");
    last_turn_ = swarm_.turns();
    if (places_[waiter] <= last_place_) {
      wrong(fmt::format("not first come first served: place {} after {}", places_[waiter].seq,
                        last_place_.seq));
    }
    if (grant->token <= last_token_) wrong("fencing tokens do not grow");
    last_place_ = places_[waiter];
    last_token_ = grant->token;
    swarm_.ask(client, unlock(0, waiter + 2, one_byte()), kUnlocked);
    freed_ = Clock::now();
  }

  Swarm& swarm_;
  ScenarioResult& result_;
  std::vector<QueuePlace> places_;
  std::vector<double> hand_overs_;
  std::size_t queued_ = 0, granted_ = 0, unlocked_ = 0, wrong_ = 0;
  bool holder_gone_ = false;
  std::uint64_t last_turn_ = 0;
  QueuePlace last_place_;
  FencingToken last_token_;
  Clock::time_point freed_;
};

}  // namespace

ScenarioResult run_waiters(const Options& options) {
  ScenarioResult result{.name = "waiters",
                        .load = fmt::format("{} waiters of {} sessions on one byte",
                                            options.waiters, options.holders)};
  Stage stage(options);
  Swarm swarm(stage.target(), options.holders);
  if (!open_all(swarm, options, result)) return result;
  const Pipeline first{.total = 1,
                       .next =
                           [](std::uint64_t) {
                             return std::pair<std::size_t, Command>(
                                 0, exclusive(0, kFirstHolder, one_byte()));
                           },
                       .right = granted};
  require_all(run_pipeline(swarm, first, options), 1, "the first holder", result);

  Queue queue(swarm, options.waiters, result);
  progress(result.name, fmt::format("queueing {}", options.waiters));
  auto begun = Clock::now();
  queue.join();
  const bool all =
      swarm.run_until([&] { return queue.queued() == options.waiters; }, patience(options));
  result.require(all,
                 fmt::format("{} of {} were told their place", queue.queued(), options.waiters));
  result.figure("all queued after", seconds_since(begun), "s");
  progress(result.name, "handing over");
  const auto cpu_before = stage.cpu();
  begun = Clock::now();
  queue.release_first_holder();
  const bool served = swarm.run_until([&] { return queue.finished(); }, patience(options));
  result.require(served, fmt::format("{} of {} got the lock", queue.granted(), options.waiters));
  result.figure("all served after", seconds_since(begun), "s");
  auto& times = queue.hand_overs();
  result.figure("hand-over, median", percentile(times, 0.5), "ms");
  result.figure("hand-over, p99", percentile(times, 0.99), "ms", "<= 5");
  result.figure("hand-over, longest", percentile(times, 1), "ms");
  if (const auto cpu = stage.cpu(); cpu && cpu_before) {
    result.figure("lockd's CPU for one hand-over",
                  (*cpu - *cpu_before) / static_cast<double>(options.waiters) * 1e6, "us");
  }
  result.notes.push_back(
      "order: the grants follow the places that lockd told, and the fencing tokens grow");
  swarm.on_queued = nullptr;
  swarm.on_reply = nullptr;
  return result;
}

}  // namespace holdfast::bench
