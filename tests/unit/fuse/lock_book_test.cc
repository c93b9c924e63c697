#include "fs/core/lock_book.h"

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

ByteRange range(std::uint64_t start, std::uint64_t end) {
  return *ByteRange::make(start, end);
}
constexpr LockOwner kAnna{LockSpace::kRange, OwnerId{1}};
constexpr LockOwner kAnnaFlock{LockSpace::kFlock, OwnerId{1}};
constexpr HandleId kFirst{10}, kSecond{11};

void hold(LockBook& book, LockOwner owner, ByteRange bytes, LockMode mode,
          HandleId handle = kFirst) {
  book.set(owner, handle, bytes, mode, Certainty::kSure);
}

TEST(LockBook, UnlockInTheMiddleLeavesBothEnds) {
  LockBook book;
  hold(book, kAnna, range(0, 100), LockMode::kExclusive);
  book.clear(kAnna, range(40, 60));
  EXPECT_TRUE(book.covers(kAnna, range(0, 40)));
  EXPECT_TRUE(book.covers(kAnna, range(60, 100)));
  EXPECT_FALSE(book.holds_any(kAnna, range(40, 60)));
}

TEST(LockBook, AConversionReplacesTheModeInItsRangeOnly) {
  LockBook book;
  hold(book, kAnna, range(0, 100), LockMode::kShared);
  hold(book, kAnna, range(10, 20), LockMode::kExclusive);
  EXPECT_TRUE(book.holds_exclusive(kAnna, range(0, 100)));
  EXPECT_FALSE(book.holds_exclusive(kAnna, range(20, 100)));
  EXPECT_TRUE(book.covers(kAnna, range(0, 100)));
}

TEST(LockBook, AHoleIsNotCovered) {
  LockBook book;
  hold(book, kAnna, range(0, 10), LockMode::kShared);
  hold(book, kAnna, range(20, 30), LockMode::kShared);
  EXPECT_FALSE(book.covers(kAnna, range(0, 30)));
}

TEST(LockBook, CloseByTheOwnerDropsItsRangesButNotItsFlock) {
  LockBook book;
  hold(book, kAnna, ByteRange::whole_file(), LockMode::kShared);
  hold(book, kAnnaFlock, ByteRange::whole_file(), LockMode::kShared);
  book.drop_owner(OwnerId{1});
  EXPECT_FALSE(book.holds(kAnna));
  EXPECT_TRUE(book.holds(kAnnaFlock));
}

TEST(LockBook, LastCloseOfAHandleDropsWhatWasLastSetThroughIt) {
  LockBook book;
  hold(book, kAnna, range(0, 10), LockMode::kShared, kFirst);
  hold(book, kAnna, range(5, 10), LockMode::kExclusive, kSecond);
  EXPECT_TRUE(book.exclusive_through(kSecond));
  book.drop_handle(kFirst);
  EXPECT_FALSE(book.holds_any(kAnna, range(0, 5)));
  EXPECT_TRUE(book.holds_exclusive(kAnna, range(5, 10)));
  EXPECT_TRUE(book.holds_through(kSecond));
  EXPECT_FALSE(book.holds_through(kFirst));
}

TEST(LockBook, ARequestOnItsWayMayHold) {
  LockBook book;
  EXPECT_FALSE(book.may_hold(kAnna));
  book.begin_request(kAnna);
  EXPECT_TRUE(book.may_hold(kAnna));
  EXPECT_EQ(book.end_request(kAnna), Certainty::kSure);
  EXPECT_FALSE(book.may_hold(kAnna));
}

TEST(LockBook, AReleaseThatCrossesAGrantMakesItUnsureSoItNeverCovers) {
  LockBook book;
  book.begin_request(kAnna);
  book.drop_owner(OwnerId{1});
  const Certainty certainty = book.end_request(kAnna);
  book.set(kAnna, kFirst, range(0, 10), LockMode::kShared, certainty);
  EXPECT_TRUE(book.holds(kAnna)) << "a later close must still be told to lockd";
  EXPECT_FALSE(book.covers(kAnna, range(0, 10))) << "another node may have had it in between";
}

// Two threads of one process; a reconnect, and the answers come in the order of the requests.
TEST(LockBook, OfTwoGrantsUnderWayAtOnceTheExclusiveOneIsBelieved) {
  LockBook book;
  book.begin_request(kAnna);
  book.begin_request(kAnna);
  const Certainty first = book.end_request(kAnna);
  book.set(kAnna, HandleId{1}, range(0, 10), LockMode::kExclusive, first);
  const Certainty second = book.end_request(kAnna);
  book.set(kAnna, HandleId{1}, range(5, 15), LockMode::kShared, second);
  EXPECT_TRUE(book.holds_exclusive(kAnna, range(5, 10)))
      << "its data is made stable before it goes";
  EXPECT_FALSE(book.covers(kAnna, range(0, 15))) << "and its pages are dropped at the next grant";
  book.clear(kAnna, range(0, 15));
  EXPECT_FALSE(book.holds(kAnna));
  book.begin_request(kAnna);
  EXPECT_EQ(book.end_request(kAnna), Certainty::kSure) << "one at a time is sure again";
}

TEST(LockBook, AnybodyHoldsLooksAtRangesOfAllOwnersButNotAtFlock) {
  LockBook book;
  hold(book, kAnnaFlock, ByteRange::whole_file(), LockMode::kExclusive);
  EXPECT_FALSE(book.anybody_holds(range(5, 6)));
  hold(book, {LockSpace::kRange, OwnerId{7}}, range(0, 10), LockMode::kShared);
  EXPECT_TRUE(book.anybody_holds(range(5, 6)));
  EXPECT_FALSE(book.anybody_holds(range(10, 11)));
}

TEST(LockBook, AFlockLostInAConversionIsGoneAndTheOwnersRangesAreNot) {
  LockBook book;
  hold(book, kAnna, range(0, 10), LockMode::kShared);
  hold(book, kAnnaFlock, ByteRange::whole_file(), LockMode::kShared);
  book.begin_request(kAnnaFlock);
  book.lost(kAnnaFlock);
  EXPECT_FALSE(book.holds(kAnnaFlock));
  EXPECT_TRUE(book.covers(kAnna, range(0, 10)));
}

TEST(LockBook, AFlockLostWhileAnotherCallOfItsOwnerRanIsOnlyInDoubt) {
  LockBook book;
  book.begin_request(kAnnaFlock);
  book.begin_request(kAnnaFlock);
  (void)book.end_request(kAnnaFlock);
  hold(book, kAnnaFlock, ByteRange::whole_file(), LockMode::kShared);
  book.lost(kAnnaFlock);
  EXPECT_TRUE(book.holds_through(kFirst)) << "the grant may have come after the refusal";
  EXPECT_FALSE(book.covers(kAnnaFlock, ByteRange::whole_file()));
}

TEST(LockBook, WhatIsInDoubtCoversNothingButIsReleased) {
  LockBook book;
  hold(book, kAnnaFlock, ByteRange::whole_file(), LockMode::kShared);
  book.begin_request(kAnnaFlock);
  book.doubt(kAnnaFlock);
  EXPECT_FALSE(book.covers(kAnnaFlock, ByteRange::whole_file()));
  EXPECT_TRUE(book.holds_through(kFirst));
  EXPECT_EQ(book.end_request(kAnnaFlock), Certainty::kUnsure) << "nor does what is being granted";
}

}  // namespace
}  // namespace holdfast::fs
