#pragma once
/// The replies of one session that its client may not have seen: what makes a request that is sent
/// twice happen once. (NFSv4.1 keeps one per slot, RFC 8881 section 2.10.6; here numbers are
/// dense.)
///
/// Numbers of interest are (acknowledged, last]: each is either answered or waiting.

#include "holdfast/lock/message.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace holdfast::lockd {

class KeptReplies {
 public:
  explicit KeptReplies(std::uint32_t in_flight_max) : in_flight_max_(in_flight_max) {}

  enum class Admission : std::uint8_t {
    kNew,       ///< to be carried out; keep() its outcome
    kAnswered,  ///< seen before: send kept() again
    kWaiting,   ///< seen before, its answer will come
    kTooMany,   ///< in_flight_max reached; nothing changed, the number may come again
    kBad        ///< acknowledged already, out of order, or acknowledges what was never answered
  };
  [[nodiscard]] Admission admit(RequestNumber number, RequestNumber acknowledged);
  /// `number` was admitted as new and has no outcome yet.
  void keep(RequestNumber number, const Outcome& outcome);
  [[nodiscard]] const Outcome& kept(RequestNumber number) const;
  /// All kept ones, in number order.
  [[nodiscard]] std::vector<Reply> all() const;

 private:
  std::uint32_t in_flight_max_;
  std::uint64_t acknowledged_ = 0;
  std::deque<std::optional<Outcome>> slots_;  ///< slots_[i] is of number acknowledged_ + 1 + i
};

}  // namespace holdfast::lockd
