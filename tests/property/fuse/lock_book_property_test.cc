#include "fs/core/lock_book.h"

#include <algorithm>
#include <array>
#include <optional>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace holdfast::fs {
namespace {

constexpr std::size_t kBytes = 24, kOwners = 3;

struct Byte {
  LockMode mode;
  HandleId handle;
};
/// The naive model: one cell per owner and byte.
using Model = std::array<std::array<std::optional<Byte>, kBytes>, kOwners>;

void check(const LockBook& book, const Model& model, ByteRange range) {
  bool anybody = false;
  for (std::size_t owner = 0; owner < kOwners; ++owner) {
    const LockOwner key{LockSpace::kRange, OwnerId{owner}};
    bool any = false, all = true, exclusive = false, holds = false;
    for (std::size_t i = 0; i < kBytes; ++i) {
      const auto& cell = model[owner][i];
      holds = holds || cell.has_value();
      if (i < range.start() || i >= range.end()) continue;
      any = any || cell.has_value();
      all = all && cell.has_value();
      exclusive = exclusive || (cell && cell->mode == LockMode::kExclusive);
    }
    anybody = anybody || any;
    RC_ASSERT(book.holds(key) == holds);
    RC_ASSERT(book.holds_any(key, range) == any);
    RC_ASSERT(book.covers(key, range) == all);
    RC_ASSERT(book.holds_exclusive(key, range) == exclusive);
  }
  RC_ASSERT(book.anybody_holds(range) == anybody);
}

void check_handles(const LockBook& book, const Model& model) {
  for (std::uint64_t handle = 0; handle < 3; ++handle) {
    bool holds = false;
    for (const auto& bytes : model)
      for (const auto& cell : bytes)
        holds = holds || (cell && cell->handle == HandleId{handle});
    RC_ASSERT(book.holds_through(HandleId{handle}) == holds);
  }
}

RC_GTEST_PROP(LockBookProperty, EqualsAnArrayOfBytes, ()) {
  LockBook book;
  Model model;
  const int steps = *rc::gen::inRange(0, 60);
  for (int step = 0; step < steps; ++step) {
    const auto owner = *rc::gen::inRange<std::size_t>(0, kOwners);
    const auto start = *rc::gen::inRange<std::size_t>(0, kBytes);
    const auto end = *rc::gen::inRange<std::size_t>(start + 1, kBytes + 1);
    const HandleId handle{*rc::gen::inRange<std::uint64_t>(0, 3)};
    const ByteRange range = *ByteRange::make(start, end);
    const LockOwner key{LockSpace::kRange, OwnerId{owner}};
    switch (*rc::gen::inRange(0, 8)) {
      case 0:
        book.clear(key, range);
        std::fill(model[owner].begin() + static_cast<long>(start),
                  model[owner].begin() + static_cast<long>(end), std::nullopt);
        break;
      case 1:
        book.drop_owner(OwnerId{owner});
        model[owner].fill(std::nullopt);
        break;
      case 2:
        book.drop_handle(handle);
        for (auto& bytes : model) {
          for (auto& cell : bytes) {
            if (cell && cell->handle == handle) cell.reset();
          }
        }
        break;
      case 3:
        book.begin_request(key);
        book.lost(key);
        (void)book.end_request(key);
        model[owner].fill(std::nullopt);
        break;
      default: {
        const auto mode = *rc::gen::element(LockMode::kShared, LockMode::kExclusive);
        book.set(key, handle, range, mode, Certainty::kSure);
        std::fill(model[owner].begin() + static_cast<long>(start),
                  model[owner].begin() + static_cast<long>(end), Byte{mode, handle});
      }
    }
    check(book, model, range);
    check(book, model, *ByteRange::make(0, kBytes));
    check_handles(book, model);
  }
}

}  // namespace
}  // namespace holdfast::fs
