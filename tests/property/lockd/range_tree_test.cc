// The tree of held ranges against a sorted list of them: random growing and shrinking through
// several heights, with owners and modes as the table would never mix them.

#include "lockd/core/lock_objects.h"

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast::lockd::test {
namespace {

constexpr std::size_t kHoldings = 60;

class Program {
 public:
  explicit Program(std::uint32_t seed, std::uint64_t bytes, std::uint64_t longest)
      : random_(seed), bytes_(bytes), longest_(longest) {
    for (std::size_t i = 0; i < kHoldings; ++i) {
      holdings_.push_back(std::make_unique<Holding>());
      holdings_.back()->seq = i + 1;
    }
  }

  /// Grows to about `size` ranges, or shrinks; `checks` times on the way everything is compared.
  void go_to(std::size_t size, int checks) {
    const std::size_t far = size > model_.size() ? size - model_.size() : model_.size() - size;
    const std::size_t stride = far / static_cast<std::size_t>(checks) + 1;
    for (std::size_t step = 0; model_.size() != size && !testing::Test::HasFatalFailure(); ++step) {
      const bool against = below(4) == 0 && !model_.empty() && size != 0;
      if ((size > model_.size()) != against)
        insert();
      else
        erase();
      if (below(4) == 0) reshape();
      for (int i = 0; i < 2; ++i)
        ask();
      if (step % stride == 0) compare_all();
    }
    compare_all();
  }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  ByteRange any_range() {
    const std::uint64_t start = below(bytes_);
    return *ByteRange::make(start, below(200) == 0 ? ByteRange::kEnd : start + 1 + below(longest_));
  }
  LockMode any_mode() { return below(3) == 0 ? LockMode::kExclusive : LockMode::kShared; }

  static bool before(const std::unique_ptr<HeldRange>& a, const std::unique_ptr<HeldRange>& b) {
    if (a->range.start() != b->range.start()) return a->range.start() < b->range.start();
    return a->holding->seq < b->holding->seq;
  }
  void insert() {
    auto held = std::make_unique<HeldRange>();
    held->range = any_range();
    held->holding = holdings_[below(kHoldings)].get();
    held->mode = any_mode();
    const auto place = std::lower_bound(model_.begin(), model_.end(), held, before);
    if (place != model_.end() && !before(held, *place)) return;  // one owner, one range at a byte
    tree_.insert(*held);
    model_.insert(place, std::move(held));
  }
  void erase() {
    const auto place = model_.begin() + static_cast<std::ptrdiff_t>(below(model_.size()));
    tree_.erase(**place);
    model_.erase(place);
  }
  void reshape() {
    if (model_.empty()) return;
    HeldRange& held = *model_[below(model_.size())];
    held.range = *ByteRange::make(held.range.start(), held.range.start() + 1 + below(longest_));
    tree_.refresh(held);
  }

  void ask() {
    const ByteRange range = any_range();
    const LockMode mode = any_mode();
    const Holding* self = below(10) == 0 ? nullptr : holdings_[below(kHoldings)].get();
    std::vector<const HeldRange*> expected;
    for (const auto& held : model_)
      if (held->range.overlaps(range) && modes_conflict(held->mode, mode) && held->holding != self)
        expected.push_back(held.get());
    ASSERT_EQ(tree_.conflict(range, mode, self), expected.empty() ? nullptr : expected.front());
    const std::size_t enough = 1 + below(expected.size() + 2);
    std::vector<const HeldRange*> visited;
    auto visit = [&](const HeldRange& held) {
      visited.push_back(&held);
      return visited.size() < enough;
    };
    tree_.each_conflict(range, mode, self, visit);
    expected.resize(std::min(expected.size(), enough));
    ASSERT_EQ(visited, expected);
  }
  void compare_all() {
    tree_.check_invariants();
    std::size_t at = 0;
    tree_.for_each([&](const HeldRange& held) {
      ASSERT_LT(at, model_.size());
      ASSERT_EQ(&held, model_[at++].get());
    });
    ASSERT_EQ(at, model_.size());
  }

  std::mt19937 random_;
  std::uint64_t bytes_;
  std::uint64_t longest_;
  std::vector<std::unique_ptr<Holding>> holdings_;
  std::vector<std::unique_ptr<HeldRange>> model_;  // in order
  RangeTree tree_;
};

TEST(RangeTree, EqualsAListWhileItGrowsAndShrinks) {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Program program(seed, 100'000, 1 + seed * 30);
    program.go_to(600, 30);
    program.go_to(40, 30);
    program.go_to(300, 20);
    program.go_to(0, 30);
    program.go_to(17, 5);
    program.go_to(0, 5);
    if (HasFatalFailure()) return;
  }
}

TEST(RangeTree, TellsRangesOfOneStartApart) {
  for (std::uint32_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    Program program(seed, 12, 4);
    program.go_to(500, 30);
    program.go_to(100, 20);
    program.go_to(400, 20);
    program.go_to(0, 30);
    if (HasFatalFailure()) return;
  }
}

TEST(RangeTree, KeepsItsOrderOverManyBlocks) {
  Program program(7, ByteRange::kEnd - 1'000, 1'000);
  program.go_to(3'000, 10);
  program.go_to(0, 10);
}

}  // namespace
}  // namespace holdfast::lockd::test
