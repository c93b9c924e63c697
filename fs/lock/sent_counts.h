#pragma once
/// Counts what goes to lockd, by kind: "lockd.lock", "lockd.renew". What is sent again on a new
/// connection counts again. And how long whoever asked waited, whether lockd decided or, under a
/// token, this mount.

#include "fs/counters/counters.h"
#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <variant>

namespace holdfast::fs {

class SentCounts {
 public:
  /// `counters` outlives this; null: nothing is counted.
  explicit SentCounts(counters::Counters* counters);
  void count(const ClientMessage& message);

  /// This mount decided it, and nobody waited for longer than that took.
  void decided(const Command& command, Duration took) { times_[command.index()].add(took); }

  /// From construction to destruction somebody waits for an answer to `command`.
  class Timed {
   public:
    Timed(SentCounts& counts, const Command& command)
        : counts_(counts), kind_(command.index()), begun_(std::chrono::steady_clock::now()) {
      counts_.waiting_.up();
    }
    ~Timed() {
      counts_.waiting_.down();
      counts_.times_[kind_].add(std::chrono::steady_clock::now() - begun_);
    }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

   private:
    SentCounts& counts_;
    std::size_t kind_;
    std::chrono::steady_clock::time_point begun_;
  };

 private:
  std::array<counters::Counter, std::variant_size_v<ClientMessage>> messages_;
  std::array<counters::Counter, std::variant_size_v<Command>> commands_;  // inside Request
  std::array<counters::Timing, std::variant_size_v<Command>> times_;
  counters::Gauge waiting_;
};

}  // namespace holdfast::fs
