#include "fs/core/kernel_size.h"

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

TEST(KernelSize, TheFirstAnswerMakesTheInodeAnotherMayBeDropped) {
  KernelSize size;
  EXPECT_FALSE(size.known());
  size.told(10);
  EXPECT_TRUE(size.is(10));
  size.told(10);
  EXPECT_TRUE(size.is(10)) << "adopted or not, it is the same";
  size.told(20);
  EXPECT_FALSE(size.known());
  size.told(20);
  EXPECT_FALSE(size.is(20)) << "that too may be dropped";
}

TEST(KernelSize, TheKernelRaisesItForItsOwnWrites) {
  KernelSize size;
  size.told(10);
  size.wrote(5);
  EXPECT_TRUE(size.is(10));
  size.wrote(15);
  EXPECT_TRUE(size.is(15));
  size.forget();
  size.wrote(20);
  EXPECT_FALSE(size.known()) << "it may have been more than 20";
}

TEST(KernelSize, ATruncationIsAlwaysAdopted) {
  KernelSize size;
  size.told(10);
  size.told(20);
  size.set(0);
  EXPECT_TRUE(size.is(0));
}

TEST(KernelSize, WhatWasAdoptedCountsOnlyIfNothingHappenedMeanwhile) {
  KernelSize size;
  size.told(10);
  size.told(20);
  size.adopted(20, size.mark());
  EXPECT_TRUE(size.is(20));
  for (const auto& meanwhile :
       {+[](KernelSize& one) { one.told(30); }, +[](KernelSize& one) { one.wrote(30); },
        +[](KernelSize& one) { one.forget(); }}) {
    size.forget();
    const auto mark = size.mark();
    meanwhile(size);
    size.adopted(20, mark);
    EXPECT_FALSE(size.known());
  }
}

}  // namespace
}  // namespace holdfast::fs
