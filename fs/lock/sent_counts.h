#pragma once
/// Counts what goes to lockd, by kind: "lockd.lock", "lockd.renew". What is sent again on a new
/// connection counts again.

#include "fs/counters/counters.h"
#include "holdfast/lock/message.h"

#include <array>
#include <variant>

namespace holdfast::fs {

class SentCounts {
 public:
  /// `counters` outlives this; null: nothing is counted.
  explicit SentCounts(counters::Counters* counters);
  void count(const ClientMessage& message);

 private:
  std::array<counters::Counter, std::variant_size_v<ClientMessage>> messages_;
  std::array<counters::Counter, std::variant_size_v<Command>> commands_;  // inside Request
};

}  // namespace holdfast::fs
