#include "lockd/core/range_table.h"

#include "holdfast/base/assert.h"

#include <algorithm>

namespace holdfast::lockd {
namespace {

ByteRange make(std::uint64_t start, std::uint64_t end) {
  const auto range = ByteRange::make(start, end);
  HOLDFAST_ASSERT(range.has_value(), "a piece of a range is a range");
  return *range;
}

ByteRange intersection(const ByteRange& a, const ByteRange& b) {
  return make(std::max(a.start(), b.start()), std::min(a.end(), b.end()));
}

/// The holding's first range that ends after `byte`.
HeldRange* first_past(const Holding& holding, std::uint64_t byte) {
  return holding.ranges.first([byte](const HeldRange& held) { return held.range.end() > byte; });
}
/// The holding's last range that starts before `byte`.
HeldRange* last_before(const Holding& holding, std::uint64_t byte) {
  return holding.ranges.last([byte](const HeldRange& held) { return held.range.start() < byte; });
}

void tag(const HeldRange& held) {
  ++held.holding->agent->session->tags[{held.handle, held.holding->agent}];
}
void untag(const HeldRange& held) {
  auto& tags = held.holding->agent->session->tags;
  const auto at = tags.find({held.handle, held.holding->agent});
  HOLDFAST_ASSERT(at != tags.end(), "every range is counted under its handle");
  if (--at->second == 0) tags.erase(at);
}

}  // namespace

HeldRange& RangeTable::add(Holding& holding, const ByteRange& range, const HeldRange& like) {
  auto owned = std::make_unique<HeldRange>(like);
  owned->range = range;
  owned->holding = &holding;
  owned->priority = static_cast<std::uint16_t>(spread(++seed_));
  HeldRange& held = *owned.release();  // owned by the holding's tree; freed by remove()
  holding.ranges.insert(held);
  holding.space->held.insert(held);
  ++holding.count;
  ++holding.space->held_count;
  ++holding.agent->session->range_count;
  tag(held);
  return held;
}

void RangeTable::remove(HeldRange& range) {
  const std::unique_ptr<HeldRange> owned(&range);
  Holding& holding = *range.holding;
  untag(range);
  holding.ranges.erase(range);
  holding.space->held.erase(range);
  --holding.count;
  --holding.space->held_count;
  --holding.agent->session->range_count;
}

/// To a part of itself, so its place among the holding's own ranges stays.
void RangeTable::reshape(HeldRange& held, const ByteRange& range) {
  auto& tree = held.holding->space->held;
  if (held.range.start() == range.start()) {
    held.range = range;
    tree.refresh(held);
    return;
  }
  tree.erase(held);
  held.range = range;
  tree.insert(held);
}

void RangeTable::carve(Holding& holding, const ByteRange& range, const LockMode* replaced_by,
                       std::vector<ByteRange>& freed) {
  HeldRange* held = first_past(holding, range.start());
  while (held != nullptr && held->range.start() < range.end()) {
    const ByteRange old = held->range;
    if (replaced_by == nullptr ||
        (held->mode == LockMode::kExclusive && *replaced_by == LockMode::kShared))
      freed.push_back(intersection(old, range));
    const bool rest_before = old.start() < range.start();
    const bool rest_after = old.end() > range.end();
    if (rest_before && rest_after) {
      reshape(*held, make(old.start(), range.start()));
      add(holding, make(range.end(), old.end()), *held);
    } else if (rest_before) {
      reshape(*held, make(old.start(), range.start()));
    } else if (rest_after) {
      reshape(*held, make(range.end(), old.end()));
    } else {
      remove(*held);
    }
    held = first_past(holding, range.start());
    if (rest_after) break;
  }
}

void RangeTable::set(Holding& holding, const Setting& setting, std::vector<ByteRange>& freed) {
  carve(holding, setting.range, &setting.mode, freed);
  ByteRange merged = setting.range;
  const auto mergeable = [&](const HeldRange* neighbour) {
    return neighbour != nullptr && neighbour->mode == setting.mode &&
           neighbour->handle == setting.handle;
  };
  if (HeldRange* before = last_before(holding, merged.start());
      mergeable(before) && before->range.end() == merged.start()) {
    merged = make(before->range.start(), merged.end());
    remove(*before);
  }
  if (HeldRange* after = first_past(holding, merged.end());
      mergeable(after) && after->range.start() == merged.end()) {
    merged = make(merged.start(), after->range.end());
    remove(*after);
  }
  const HeldRange like{.range = merged,
                       .holding = &holding,
                       .mode = setting.mode,
                       .pid = setting.pid,
                       .handle = setting.handle,
                       .token = setting.token,
                       .since = setting.now};
  add(holding, merged, like);
}

void RangeTable::clear(Holding& holding, const ByteRange& range, std::vector<ByteRange>& freed) {
  carve(holding, range, nullptr, freed);
}

void RangeTable::clear_handle(Holding& holding, HandleId handle, std::vector<ByteRange>& freed) {
  std::vector<HeldRange*> tagged;
  holding.ranges.for_each([&](HeldRange& held) {
    if (held.handle == handle) tagged.push_back(&held);
  });
  for (HeldRange* held : tagged) {
    freed.push_back(held->range);
    remove(*held);
  }
}

void RangeTable::clear_all(Holding& holding, std::vector<ByteRange>& freed) {
  while (HeldRange* held = holding.ranges.root()) {
    freed.push_back(held->range);
    remove(*held);
  }
}

std::uint32_t RangeTable::growth_of_set(const Holding* holding, const ByteRange& range) {
  // The new range, and a second piece if it falls into the middle of an old one.
  return holding == nullptr ? 1 : 1 + growth_of_clear(*holding, range);
}

std::uint32_t RangeTable::growth_of_clear(const Holding& holding, const ByteRange& range) {
  const HeldRange* held = first_past(holding, range.start());
  const bool splits =
      held != nullptr && held->range.start() < range.start() && held->range.end() > range.end();
  return splits ? 1 : 0;
}

const HeldRange* RangeTable::first_conflict(const FileSpace& space, const ByteRange& range,
                                            LockMode mode, const Holding* self) {
  const HeldRange* first = nullptr;
  auto earlier = [&](const HeldRange& held) {
    if (first == nullptr || held.holding->seq < first->holding->seq) first = &held;
    return true;
  };
  space.held.each_conflict(range, mode, self, earlier);
  return first;
}

ByteRange RangeTable::as_one_lock(const HeldRange& held) {
  ByteRange whole = held.range;
  for (;;) {
    const HeldRange* before = last_before(*held.holding, whole.start());
    if (before == nullptr || before->range.end() != whole.start() || before->mode != held.mode)
      break;
    whole = make(before->range.start(), whole.end());
  }
  for (;;) {
    const HeldRange* after = first_past(*held.holding, whole.end());
    if (after == nullptr || after->range.start() != whole.end() || after->mode != held.mode) break;
    whole = make(whole.start(), after->range.end());
  }
  return whole;
}

}  // namespace holdfast::lockd
