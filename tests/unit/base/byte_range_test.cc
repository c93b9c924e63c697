#include "holdfast/lock/byte_range.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ByteRange, CannotBeEmptyOrInverted) {
  EXPECT_FALSE(ByteRange::make(5, 5));
  EXPECT_FALSE(ByteRange::make(6, 5));
  EXPECT_TRUE(ByteRange::make(5, 6));
}

TEST(ByteRange, EndsAtTheLastLockableByte) {
  EXPECT_TRUE(ByteRange::make(ByteRange::kEnd - 1, ByteRange::kEnd));
  EXPECT_FALSE(ByteRange::make(0, ByteRange::kEnd + 1));
  EXPECT_FALSE(ByteRange::make(~std::uint64_t{0} - 1, ~std::uint64_t{0}));
}

TEST(ByteRange, TouchingRangesDoNotOverlap) {
  const auto low = *ByteRange::make(0, 10);
  const auto high = *ByteRange::make(10, 20);
  EXPECT_FALSE(low.overlaps(high));
  EXPECT_FALSE(high.overlaps(low));
  EXPECT_TRUE(low.overlaps(*ByteRange::make(9, 10)));
  EXPECT_TRUE(ByteRange::whole_file().contains(high));
  EXPECT_FALSE(high.contains(ByteRange::whole_file()));
}

}  // namespace
}  // namespace holdfast
