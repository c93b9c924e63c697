#include "cli/bench/fs/latencies.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace holdfast::bench::fs {
namespace {

using std::chrono::nanoseconds;

TEST(Latencies, NothingMeasuredIsZero) {
  const Latencies none;
  EXPECT_EQ(none.count(), 0U);
  EXPECT_EQ(none.percentile(0.5), 0);
  EXPECT_EQ(none.longest(), 0);
}

TEST(Latencies, OneOperationIsEveryPercentile) {
  Latencies one;
  one.add(nanoseconds(40));
  EXPECT_DOUBLE_EQ(one.percentile(0.5), 0.04);
  EXPECT_DOUBLE_EQ(one.percentile(0.99), 0.04);
  EXPECT_DOUBLE_EQ(one.longest(), 0.04);
}

TEST(Latencies, ExtremesDoNotBreakIt) {
  Latencies some;
  some.add(nanoseconds(-5));  // no clock of ours does that
  some.add(nanoseconds::max());
  EXPECT_EQ(some.percentile(0.5), 0);
  EXPECT_EQ(some.count(), 2U);
}

RC_GTEST_PROP(Latencies, PercentilesAreThoseOfTheSortedTimes, ()) {
  const auto times = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::int64_t>>(
      rc::gen::oneOf(rc::gen::inRange<std::int64_t>(0, 200),
                     rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 44))));
  const auto split = *rc::gen::inRange<std::size_t>(0, times.size() + 1);
  Latencies all;
  Latencies rest;
  for (std::size_t i = 0; i < times.size(); ++i)
    (i < split ? all : rest).add(nanoseconds(times[i]));
  all.add(rest);
  auto sorted = times;
  std::sort(sorted.begin(), sorted.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99, 1.0}) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    const double exact = static_cast<double>(sorted[std::max<std::size_t>(rank, 1) - 1]) / 1e3;
    RC_ASSERT(std::abs(all.percentile(share) - exact) <= 0.016 * exact + 1e-9);
  }
  RC_ASSERT(all.count() == times.size());
  RC_ASSERT(all.longest() == static_cast<double>(sorted.back()) / 1e3);
}

}  // namespace
}  // namespace holdfast::bench::fs
