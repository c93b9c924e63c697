#include "fs/core/cache_bound.h"

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

constexpr std::size_t kMax = 100;

/// Tells of inodes until there are `known`; how often the kernel was to be asked.
int tell(CacheBound& bound, std::size_t from, std::size_t known) {
  int asked = 0;
  for (std::size_t i = from; i < known; ++i)
    asked += bound.told(i + 1) ? 1 : 0;
  return asked;
}

TEST(CacheBound, UpToTheBoundTheKernelIsLeftAlone) {
  CacheBound bound(kMax);
  EXPECT_EQ(tell(bound, 0, kMax), 0);
  EXPECT_TRUE(bound.told(kMax + 1));
}

TEST(CacheBound, ItIsAskedOnceAtATime) {
  CacheBound bound(kMax);
  EXPECT_EQ(tell(bound, 0, 10 * kMax), 1);
}

TEST(CacheBound, WhatComesAndGoesBelowTheBoundDoesNotMatter) {
  CacheBound bound(kMax);
  EXPECT_EQ(tell(bound, 0, kMax - 1), 0);
  for (int i = 0; i < 1000; ++i)
    EXPECT_FALSE(bound.told(kMax));
}

TEST(CacheBound, AKernelThatHasNoneToGiveIsAskedAgainOnlyForAQuarterMore) {
  CacheBound bound(kMax);
  ASSERT_EQ(tell(bound, 0, kMax + 1), 1);
  EXPECT_FALSE(bound.ended(kMax + 1));
  EXPECT_EQ(tell(bound, kMax + 1, kMax + 26), 0);
  EXPECT_TRUE(bound.told(kMax + 27));
}

TEST(CacheBound, WhatItIsToldOfWhileItIsAskedIsAskedBackAfterwards) {
  CacheBound bound(kMax);
  ASSERT_EQ(tell(bound, 0, 3 * kMax), 1);
  EXPECT_TRUE(bound.ended(3 * kMax));
  EXPECT_FALSE(bound.told(3 * kMax)) << "one at a time";
  EXPECT_FALSE(bound.ended(3 * kMax));
}

TEST(CacheBound, AWalkOfAnyLengthStaysBelowTheBoundAndAQuarter) {
  CacheBound bound(kMax);
  constexpr std::size_t kUsed = 10;  // and not given back
  std::size_t known = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (bound.told(++known)) {
      known = kUsed;
      EXPECT_FALSE(bound.ended(known));
    }
    ASSERT_LE(known, kMax + kMax / 4 + kUsed);
  }
}

}  // namespace
}  // namespace holdfast::fs
