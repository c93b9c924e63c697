#include "lockd/core/kept_replies.h"

#include "holdfast/base/assert.h"

namespace holdfast::lockd {

KeptReplies::Admission KeptReplies::admit(RequestNumber number, RequestNumber acknowledged) {
  const std::uint64_t last = acknowledged_ + slots_.size();
  if (number.value <= acknowledged_ || number.value > last + 1) return Admission::kBad;
  if (acknowledged.value > acknowledged_) {
    if (acknowledged.value > last || acknowledged.value >= number.value) return Admission::kBad;
    const std::uint64_t seen = acknowledged.value - acknowledged_;
    for (std::uint64_t i = 0; i < seen; ++i)
      if (!slots_[i]) return Admission::kBad;
    slots_.erase(slots_.begin(), slots_.begin() + static_cast<std::ptrdiff_t>(seen));
    acknowledged_ = acknowledged.value;
  }
  // An older acknowledgement than the last is no fault: a request sent again carries its old one.
  if (number.value <= last)
    return slots_[number.value - acknowledged_ - 1] ? Admission::kAnswered : Admission::kWaiting;
  if (slots_.size() >= in_flight_max_) return Admission::kTooMany;
  slots_.emplace_back();
  return Admission::kNew;
}

void KeptReplies::keep(RequestNumber number, const Outcome& outcome) {
  const std::uint64_t index = number.value - acknowledged_ - 1;
  HOLDFAST_ASSERT(index < slots_.size() && !slots_[index], "a request is answered once");
  slots_[index] = outcome;
}

const Outcome& KeptReplies::kept(RequestNumber number) const {
  const std::uint64_t index = number.value - acknowledged_ - 1;
  HOLDFAST_ASSERT(index < slots_.size() && slots_[index], "only answered requests are kept");
  return *slots_[index];
}

std::vector<Reply> KeptReplies::all() const {
  std::vector<Reply> replies;
  std::uint64_t number = acknowledged_;
  for (const auto& slot : slots_) {
    ++number;
    if (slot) replies.push_back({RequestNumber{number}, *slot});
  }
  return replies;
}

}  // namespace holdfast::lockd
