// Sessions that come, go, vanish and lose files: the store remembers what is, not what was.
#include "cli/bench/scenario.h"

#include <algorithm>

#include <fmt/format.h>

namespace holdfast::bench {
namespace {

constexpr std::size_t kWanter = 0;  // the client that wants what the others left
constexpr std::uint64_t kOwner = 1;
constexpr std::uint64_t kWantersOwner = 2;
/// A store that has seen one round may be this large without saying anything.
constexpr std::uint64_t kSmall = std::uint64_t{4} << 20;

/// What becomes of a client in each round, by its number.
enum class Fate {
  kGoodbye,  ///< ends its session
  kLoses,    ///< vanishes with two files; one is wanted; it comes back, is told, and ends
  kDies,     ///< vanishes with one file that is wanted, and never comes back
};
Fate fate(std::size_t client) {
  if (client % 2 == 0) return Fate::kGoodbye;
  return client % 4 == 1 ? Fate::kLoses : Fate::kDies;
}

class Rounds {
 public:
  Rounds(Swarm& swarm, const Options& options, ScenarioResult& result)
      : swarm_(swarm), options_(options), result_(result) {
    swarm_.on_losses = [this](std::size_t client, const std::vector<FileLoss>& losses) {
      const bool right = fate(client) == Fate::kLoses && losses.size() == 1 &&
                         losses.front().file == file_key(wanted(client));
      if (right) ++told_;
      if (!right) wrong_losses_ += losses.size();
    };
  }

  /// False if it could not go on.
  bool run() {
    told_ = wrong_losses_ = 0;
    const bool ended = open() && lock() && leave() && want() && come_back() && tidy_up();
    ++round_;
    return ended;
  }
  [[nodiscard]] double granted_after() const { return granted_after_; }

 private:
  [[nodiscard]] std::size_t count(Fate which) const {
    std::size_t found = 0;
    for (std::size_t client = 1; client < swarm_.size(); ++client)
      found += fate(client) == which ? 1 : 0;
    return found;
  }
  [[nodiscard]] std::uint64_t wanted(std::size_t client) const {
    return 2 * (round_ * swarm_.size() + client);
  }

  bool step(bool good, std::string failure) {
    result_.require(good, fmt::format("round {}: {}", round_ + 1, failure));
    return good;
  }

  bool open() {
    for (std::size_t client = 0; client < swarm_.size(); ++client)
      swarm_.connect(client);
    return step(
        swarm_.run_until([&] { return swarm_.clients_up() == swarm_.size(); }, patience(options_)),
        fmt::format("{} of {} sessions opened", swarm_.clients_up(), swarm_.size()));
  }

  bool lock() {
    const std::size_t total = 2 * (swarm_.size() - 1);
    const Pipeline locking{.total = total,
                           .next =
                               [&](std::uint64_t i) {
                                 const std::size_t client = i / 2 + 1;
                                 // Whoever dies holds nothing that nobody wants: one file, twice.
                                 const std::uint64_t other =
                                     fate(client) == Fate::kDies ? 0 : i % 2;
                                 return std::pair<std::size_t, Command>(
                                     client, exclusive(wanted(client) + other, kOwner));
                               },
                           .right = granted};
    const auto ran = run_pipeline(swarm_, locking, options_);
    return step(ran.done == total && ran.wrong == 0, "locking: " + ran.first_wrong);
  }

  bool leave() {
    lease_ends_.assign(swarm_.size(), Clock::time_point{});
    for (std::size_t client = 1; client < swarm_.size(); ++client) {
      lease_ends_[client] = swarm_.deadline(client);
      if (fate(client) == Fate::kGoodbye) {
        swarm_.goodbye(client);
      } else {
        swarm_.cut(client);
      }
    }
    return true;
  }

  // Waits for everything that was left behind; nothing is given before its lease is over.
  bool want() {
    std::size_t got = 0;
    std::size_t refused = 0;
    std::size_t early = 0;
    swarm_.on_reply = [&](std::size_t, std::uint64_t client, const Outcome& outcome,
                          Clock::time_point) {
      if (!granted(client, outcome)) ++refused;
      if (Clock::now() < lease_ends_[client]) ++early;
      ++got;
    };
    const auto begun = Clock::now();
    for (std::size_t client = 1; client < swarm_.size(); ++client) {
      if (fate(client) == Fate::kGoodbye) continue;
      LockRequest request = exclusive(wanted(client), kWantersOwner);
      request.wait = Wait::kYes;
      swarm_.ask(kWanter, request, client);
    }
    const std::size_t all = count(Fate::kLoses) + count(Fate::kDies);
    static_cast<void>(swarm_.run_until([&] { return got == all; }, patience(options_)));
    granted_after_ = seconds_since(begun);
    swarm_.on_reply = nullptr;
    return step(early == 0, fmt::format("{} locks given before their lease was over", early)) &&
           step(got == all && refused == 0,
                fmt::format("{} of {} left locks given, {} refused", got - refused, all, refused));
  }

  bool come_back() {
    std::size_t back = 0;
    swarm_.on_up = [&](std::size_t) { ++back; };
    const auto renewals = swarm_.counts().renewals;
    const auto replaced = swarm_.counts().replaced;
    for (std::size_t client = 1; client < swarm_.size(); ++client)
      if (fate(client) == Fate::kLoses) swarm_.connect(client);
    const std::size_t all = count(Fate::kLoses);
    // Each says with a renewal that it knows; then lockd may forget.
    static_cast<void>(
        swarm_.run_until([&] { return back == all && swarm_.counts().renewals >= renewals + all; },
                         patience(options_)));
    swarm_.on_up = nullptr;
    return step(back == all, fmt::format("{} of {} came back", back, all)) &&
           step(swarm_.counts().replaced == replaced, "a session with a lock left was unknown") &&
           step(told_ == all && wrong_losses_ == 0,
                fmt::format("{} of {} were told their loss, {} wrong ones", told_, all,
                            wrong_losses_));
  }

  bool tidy_up() {
    for (std::size_t client = 1; client < swarm_.size(); ++client) {
      if (fate(client) == Fate::kLoses) swarm_.goodbye(client);
      if (fate(client) == Fate::kDies) swarm_.forget(client);
    }
    std::vector<std::size_t> held;
    for (std::size_t client = 1; client < swarm_.size(); ++client)
      if (fate(client) != Fate::kGoodbye) held.push_back(client);
    const Pipeline unlocking{.total = held.size(),
                             .next =
                                 [&](std::uint64_t i) {
                                   return std::pair<std::size_t, Command>(
                                       kWanter, unlock(wanted(held[i]), kWantersOwner));
                                 },
                             .right = done};
    const auto ran = run_pipeline(swarm_, unlocking, options_);
    return step(ran.done == held.size() && ran.wrong == 0, "unlocking: " + ran.first_wrong);
  }

  Swarm& swarm_;
  const Options& options_;
  ScenarioResult& result_;
  std::uint64_t round_ = 0;
  std::vector<Clock::time_point> lease_ends_;
  std::size_t told_ = 0;
  std::size_t wrong_losses_ = 0;
  double granted_after_ = 0;
};

}  // namespace

ScenarioResult run_store(const Options& options) {
  ScenarioResult result{
      .name = "store",
      .load = fmt::format("{} rounds of {} sessions: half say goodbye, a quarter lose a file and "
                          "come back, a quarter vanish",
                          options.rounds, options.round_size)};
  if (options.lockd) {
    result.skipped = true;
    result.notes.push_back("looks into lockd's store: run it without --lockd");
    return result;
  }
  Stage stage(options, {"--lease-ttl", "1", "--storage-delay", "0"});
  Swarm swarm(stage.target(), options.round_size + 1);
  Rounds rounds(swarm, options, result);
  std::vector<std::uint64_t> sizes;
  const auto begun = Clock::now();
  for (std::size_t round = 0; round < options.rounds; ++round) {
    if (!rounds.run()) return result;
    sizes.push_back(stage.own()->store_size());
    progress(result.name, fmt::format("round {}: {} KiB", round + 1, sizes.back() / 1024));
  }
  result.figure("sessions opened and ended",
                static_cast<double>(options.rounds * options.round_size), "");
  result.figure("store after the first round", static_cast<double>(sizes.front()) / 1024, "KiB");
  result.figure("store after the last round", static_cast<double>(sizes.back()) / 1024, "KiB",
                "<= 2x live state");
  result.figure("left locks given after (lease 1 s)", rounds.granted_after(), "s");
  result.figure("the whole scenario", seconds_since(begun), "s");
  result.require(sizes.back() <= std::max(2 * sizes.front(), kSmall),
                 fmt::format("the store grew from {} to {} bytes", sizes.front(), sizes.back()));
  const auto list = stage.own()->sessions();
  if (list) {
    result.figure("sessions that lockd still knows", static_cast<double>(list->sessions.size()), "",
                  "1");
  }
  return result;
}

}  // namespace holdfast::bench
