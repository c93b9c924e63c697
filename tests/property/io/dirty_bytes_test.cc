// DirtyBytes against an array of bytes.

#include "fs/io/dirty_bytes.h"

#include <array>
#include <optional>

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

namespace holdfast::fs {
namespace {

constexpr std::size_t kSize = 64;
using Model = std::array<std::optional<std::uint8_t>, kSize>;

Model seen(const DirtyBytes& dirty, std::size_t start, std::size_t end) {
  Model out;
  std::uint64_t from = start;
  dirty.visit(start, end, [&](std::uint64_t offset, std::span<const std::uint8_t> data) {
    RC_ASSERT(offset >= from && !data.empty());
    for (std::size_t i = 0; i < data.size(); ++i)
      out[offset + i] = data[i];
    from = offset + data.size();
  });
  RC_ASSERT(from <= end || from == start);
  return out;
}

RC_GTEST_PROP(DirtyBytes, KeepsD1AndTheNewestBytes, ()) {
  DirtyBytes dirty;
  Model model;
  const int steps = *rc::gen::inRange(1, 60);
  for (int step = 0; step < steps; ++step) {
    const auto start = *rc::gen::inRange<std::size_t>(0, kSize);
    const auto end = *rc::gen::inRange<std::size_t>(start, kSize + 1);
    switch (*rc::gen::inRange(0, 8)) {
      case 0:
        dirty.cut(start);
        std::fill(model.begin() + static_cast<std::ptrdiff_t>(start), model.end(), std::nullopt);
        break;
      case 1: {
        std::size_t bytes = 0;
        for (const auto& [offset, data] : dirty.take()) {
          for (std::size_t i = 0; i < data.size(); ++i, ++bytes)
            RC_ASSERT(model[offset + i] == data.bytes()[i]);
        }
        for (const auto& byte : model)
          bytes -= byte ? 1 : 0;
        RC_ASSERT(bytes == 0U);
        model.fill(std::nullopt);
        break;
      }
      default: {
        std::vector<std::uint8_t> data;
        for (std::size_t i = start; i < end; ++i)
          data.push_back(static_cast<std::uint8_t>(step * 64 + static_cast<int>(i)));
        dirty.put(start, data);
        for (std::size_t i = start; i < end; ++i)
          model[i] = data[i - start];
        break;
      }
    }
    dirty.check_invariants();
    RC_ASSERT(seen(dirty, 0, kSize) == model);
    Model part = model;
    for (std::size_t i = 0; i < kSize; ++i) {
      if (i < start || i >= end) part[i].reset();
    }
    RC_ASSERT(seen(dirty, start, end) == part);
    std::size_t last = 0;
    for (std::size_t i = 0; i < kSize; ++i)
      last = model[i] ? i + 1 : last;
    RC_ASSERT(dirty.end() == last);
  }
}

TEST(DirtyBytes, KeepsD1AlsoAtTheLargestExtent) {
  DirtyBytes dirty;
  const std::vector<std::uint8_t> data(DirtyBytes::kExtentMax / 4, 1);
  for (std::uint64_t i = 0; i < 6; ++i)
    dirty.put(i * data.size(), data);
  dirty.check_invariants();
  EXPECT_EQ(dirty.extents(), 2U);
  dirty.put(3 * data.size() + 100, data);  // across the border
  dirty.check_invariants();
  EXPECT_EQ(dirty.bytes(), 6 * data.size());
  dirty.cut(data.size());
  dirty.check_invariants();
  EXPECT_EQ(dirty.bytes(), data.size());
}

}  // namespace
}  // namespace holdfast::fs
