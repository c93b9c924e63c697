#include "fs/core/lock_book.h"

#include <iterator>
#include <utility>

namespace holdfast::fs {

LockBook::Ranges::const_iterator LockBook::first_after(const Ranges& ranges, std::uint64_t start) {
  auto it = ranges.upper_bound(start);
  if (it != ranges.begin()) {
    const auto before = std::prev(it);
    if (before->second.end > start) return before;
  }
  return it;
}

void LockBook::add(Ranges& ranges, std::uint64_t start, const Held& held) {
  ranges.emplace(start, held);
  ++through_[held.handle];
}

LockBook::Ranges::iterator LockBook::remove(Ranges& ranges, Ranges::iterator at) {
  forget(at->second.handle);
  return ranges.erase(at);
}

void LockBook::forget(HandleId handle) {
  const auto it = through_.find(handle);
  if (--it->second == 0) through_.erase(it);
}

void LockBook::carve(Ranges& ranges, ByteRange range) {
  auto it = ranges.lower_bound(range.start());
  if (it != ranges.begin()) {
    const auto before = std::prev(it);
    if (before->second.end > range.start()) {
      const Held held = before->second;
      before->second.end = range.start();
      if (held.end > range.end()) add(ranges, range.end(), held);
    }
  }
  while (it != ranges.end() && it->first < range.end()) {
    const Held held = it->second;
    it = remove(ranges, it);
    if (held.end > range.end()) {
      add(ranges, range.end(), held);
      return;
    }
  }
}

void LockBook::set(LockOwner owner, HandleId handle, ByteRange range, LockMode mode,
                   Certainty certainty) {
  // Of two grants the one that is known first may be the later one.
  if (certainty == Certainty::kUnsure && holds_exclusive(owner, range)) mode = LockMode::kExclusive;
  Ranges& ranges = owners_[owner];
  carve(ranges, range);
  add(ranges, range.start(), Held{range.end(), mode, handle, certainty});
}

void LockBook::erase(LockOwner owner) {
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return;
  for (const auto& [start, held] : it->second)
    forget(held.handle);
  owners_.erase(it);
}

void LockBook::clear(LockOwner owner, ByteRange range) {
  released(owner);
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return;
  carve(it->second, range);
  if (it->second.empty()) owners_.erase(it);
}

void LockBook::lost(LockOwner owner) {
  const auto it = requests_.find(owner);
  // After a reconnect answers come in the order of the requests: a grant that is known already may
  // be the later one.
  if (it == requests_.end() || it->second.overlap) return doubt(owner);
  erase(owner);
}

void LockBook::doubt(LockOwner owner) {
  released(owner);
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return;
  for (auto& [start, held] : it->second)
    held.certainty = Certainty::kUnsure;
}

void LockBook::drop_owner(OwnerId owner) {
  const LockOwner key{LockSpace::kRange, owner};
  erase(key);
  released(key);
}

void LockBook::drop_handle(HandleId handle) {
  if (!holds_through(handle)) return;
  for (auto owner = owners_.begin(); owner != owners_.end();) {
    Ranges& ranges = owner->second;
    for (auto held = ranges.begin(); held != ranges.end();) {
      held = held->second.handle == handle ? remove(ranges, held) : std::next(held);
    }
    owner = ranges.empty() ? owners_.erase(owner) : std::next(owner);
  }
}

void LockBook::drop_all() {
  owners_.clear();
  through_.clear();
  for (auto& [owner, requests] : requests_)
    requests.certainty = Certainty::kUnsure;
}

void LockBook::begin_request(LockOwner owner) {
  Requests& requests = requests_[owner];
  if (++requests.running > 1) requests.overlap = true;
}

Certainty LockBook::end_request(LockOwner owner) {
  const auto it = requests_.find(owner);
  if (it == requests_.end()) return Certainty::kUnsure;
  const Certainty certainty = it->second.overlap ? Certainty::kUnsure : it->second.certainty;
  if (--it->second.running == 0) requests_.erase(it);
  return certainty;
}

void LockBook::released(LockOwner owner) {
  const auto it = requests_.find(owner);
  if (it != requests_.end()) it->second.certainty = Certainty::kUnsure;
}

bool LockBook::holds_any(LockOwner owner, ByteRange range) const {
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return false;
  const auto first = first_after(it->second, range.start());
  return first != it->second.end() && first->first < range.end();
}

bool LockBook::holds_exclusive(LockOwner owner, ByteRange range) const {
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return false;
  for (auto held = first_after(it->second, range.start());
       held != it->second.end() && held->first < range.end(); ++held) {
    if (held->second.mode == LockMode::kExclusive) return true;
  }
  return false;
}

bool LockBook::holds_exclusive(LockOwner owner) const {
  return holds_exclusive(owner, ByteRange::whole_file());
}

bool LockBook::exclusive_through(HandleId handle) const {
  for (const auto& [owner, ranges] : owners_) {
    for (const auto& [start, held] : ranges) {
      if (held.handle == handle && held.mode == LockMode::kExclusive) return true;
    }
  }
  return false;
}

bool LockBook::covers(LockOwner owner, ByteRange range) const {
  const auto it = owners_.find(owner);
  if (it == owners_.end()) return false;
  std::uint64_t covered_to = range.start();
  for (auto held = first_after(it->second, range.start());
       held != it->second.end() && held->first <= covered_to; ++held) {
    if (held->second.certainty != Certainty::kSure) return false;
    covered_to = held->second.end;
    if (covered_to >= range.end()) return true;
  }
  return false;
}

bool LockBook::anybody_holds(ByteRange range) const {
  for (const auto& [owner, ranges] : owners_) {
    if (owner.space == LockSpace::kRange && holds_any(owner, range)) return true;
  }
  return false;
}

}  // namespace holdfast::fs
