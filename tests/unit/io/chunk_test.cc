// Bytes on their way are shared, and nobody's changes reach anybody else.
#include "fs/io/chunk.h"

#include <cstdlib>
#include <cstring>

#include <gtest/gtest.h>

namespace holdfast::fs {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes content(const Chunk& chunk) {
  return {chunk.bytes().begin(), chunk.bytes().end()};
}

/// As a request from the kernel: `size` bytes of `fill` in a buffer of `room`.
Chunk taken(std::size_t room, std::size_t size, int fill) {
  std::unique_ptr<void, Chunk::Free> buffer(std::malloc(room));
  auto* const at = static_cast<std::uint8_t*>(buffer.get()) + (room - size);
  std::memset(at, fill, size);
  return {std::move(buffer), room, {at, size}};
}

TEST(Chunk, PartsAndCopiesShareTheBuffer) {
  const Chunk whole(Bytes{1, 2, 3, 4});
  const Chunk part = whole.part(1, 2);
  EXPECT_EQ(content(part), (Bytes{2, 3}));
  EXPECT_EQ(part.bytes().data(), whole.bytes().data() + 1);
  EXPECT_EQ(Chunk(whole).bytes().data(), whole.bytes().data());
}

TEST(Chunk, WhatIsChangedIsNotChangedForThoseWhoHoldItToo) {
  Chunk changed(Bytes{1, 2, 3, 4});
  const Chunk on_its_way = changed.part(0, 4);
  changed.overwrite(1, Bytes{9});
  EXPECT_EQ(content(changed), (Bytes{1, 9, 3, 4}));
  EXPECT_EQ(content(on_its_way), (Bytes{1, 2, 3, 4}));

  const Chunk again = changed;
  changed.append(Bytes{5});
  EXPECT_EQ(content(changed), (Bytes{1, 9, 3, 4, 5}));
  EXPECT_EQ(content(again), (Bytes{1, 9, 3, 4}));
}

TEST(Chunk, AloneItIsChangedInPlace) {
  Chunk chunk = taken(100, 60, 7);
  const auto* const before = chunk.bytes().data();
  chunk.overwrite(59, Bytes{8});
  EXPECT_EQ(chunk.bytes().data(), before);
  EXPECT_EQ(chunk.bytes()[59], 8);
}

TEST(Chunk, APartGrowsWithoutWhatLayBehindIt) {
  Chunk whole(Bytes{1, 2, 3, 4});
  Chunk part = whole.part(0, 2);
  whole = Chunk();  // the part is alone with the buffer now
  part.append(Bytes{9});
  EXPECT_EQ(content(part), (Bytes{1, 2, 9}));

  Chunk buffer = taken(10, 2, 7);
  buffer.append(Bytes{9});
  EXPECT_EQ(content(buffer), (Bytes{7, 7, 9}));
}

TEST(Chunk, WhatIsKeptLongHoldsAtMostTwiceItsSize) {
  const Chunk most = taken(100, 50, 7);
  EXPECT_EQ(most.compact().bytes().data(), most.bytes().data());
  const Chunk little = taken(100, 49, 7);
  EXPECT_NE(little.compact().bytes().data(), little.bytes().data());
  EXPECT_EQ(content(little.compact()), content(little));
  const Chunk part = most.part(10, 3);
  EXPECT_NE(part.compact().bytes().data(), part.bytes().data());
}

TEST(Chunk, NothingIsAChunkToo) {
  Chunk empty;
  EXPECT_TRUE(empty.empty());
  EXPECT_TRUE(empty.compact().empty());
  EXPECT_TRUE(empty.part(0, 0).empty());
  empty.append(Bytes{1});
  EXPECT_EQ(content(empty), (Bytes{1}));
}

}  // namespace
}  // namespace holdfast::fs
