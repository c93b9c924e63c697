#include "cli/bench/fs/latencies.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace holdfast::bench::fs {

// Below kSteps one bucket a nanosecond; above, kSteps buckets from one power of two to the next.
std::size_t Latencies::bucket(std::uint64_t ns) {
  if (ns < kSteps) return ns;
  const unsigned octave = static_cast<unsigned>(std::bit_width(ns)) - std::bit_width(kSteps);
  const std::uint64_t step = (ns >> octave) - kSteps;
  return kSteps * (std::size_t{octave} + 1) + step;
}

void Latencies::add(std::chrono::nanoseconds time) {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
  ++counts_[std::min(bucket(ns), counts_.size() - 1)];
  ++count_;
  longest_ = std::max(longest_, ns);
}

void Latencies::add(const Latencies& more) {
  for (std::size_t i = 0; i < counts_.size(); ++i)
    counts_[i] += more.counts_[i];
  count_ += more.count_;
  longest_ = std::max(longest_, more.longest_);
}

double Latencies::percentile(double share) const {
  if (count_ == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(
      static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))), 1);
  std::uint64_t seen = 0;
  std::size_t i = 0;
  while (i < counts_.size() && (seen += counts_[i]) < wanted)
    ++i;
  if (i < kSteps) return static_cast<double>(i) / 1e3;
  const std::size_t octave = i / kSteps - 1;
  const auto low = static_cast<double>(std::uint64_t{kSteps + i % kSteps} << octave);
  const auto width = static_cast<double>(std::uint64_t{1} << octave);
  return std::min((low + width / 2) / 1e3, longest());
}

}  // namespace holdfast::bench::fs
