#include "fs/core/listing_loop.h"

#include <cstdint>

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

/// A listing of `before` entries, then of `cycle` others again and again: how many are met until
/// that is noticed. 0: not at all within `most`.
std::uint64_t noticed(std::uint64_t before, std::uint64_t cycle, std::uint64_t most) {
  ListingLoop loop;
  for (std::uint64_t i = 0; i < most; ++i) {
    const std::uint64_t place = i < before ? i : before + (i - before) % cycle;
    if (loop.meets(place + 1)) return i + 1;
  }
  return 0;
}

TEST(ListingLoop, ALongListingIsNone) {
  constexpr std::uint64_t kLong = 1'000'000;
  EXPECT_EQ(noticed(kLong, 1, kLong), 0U);
}

TEST(ListingLoop, EachCycleIsNoticedWithinSomeRounds) {
  for (std::uint64_t before : {0U, 1U, 2U, 7U, 64U, 1'000U}) {
    for (std::uint64_t cycle : {1U, 2U, 3U, 5U, 100U, 4'097U}) {
      const std::uint64_t met = noticed(before, cycle, 1'000'000);
      EXPECT_GE(met, before + 2 * cycle) << before << " then " << cycle;
      EXPECT_LE(met, 2 * before + 8 * cycle + 8) << before << " then " << cycle;
    }
  }
}

TEST(ListingLoop, OneStepBackIsAllowed) {
  for (std::uint64_t back = 1; back < 100; ++back) {
    ListingLoop loop;
    for (std::uint64_t cookie = 1; cookie <= 100; ++cookie)
      EXPECT_FALSE(loop.meets(cookie));
    for (std::uint64_t cookie = back; cookie <= 1'000; ++cookie)
      EXPECT_FALSE(loop.meets(cookie)) << "back to " << back << ", at " << cookie;
  }
}

}  // namespace
}  // namespace holdfast::fs
