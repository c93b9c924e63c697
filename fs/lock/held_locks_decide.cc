// What a mount that decides locks itself looks up.
#include "fs/lock/held_locks.h"

#include <algorithm>

namespace holdfast::fs {

std::optional<HeldLocks::Piece> HeldLocks::conflict(const FileKey& key, Agent agent,
                                                    const ByteRange& range, LockMode mode) const {
  const auto found = files_.find(key);
  if (found == files_.end()) return std::nullopt;
  const Owner* first = nullptr;
  std::map<std::uint64_t, Piece>::const_iterator lowest;
  for (const auto& [other, owner] : found->second.owners) {
    if (other.space != agent.space || other == agent || owner.pieces.empty()) continue;
    if (first != nullptr && first->arrived < owner.arrived) continue;
    auto at = owner.pieces.lower_bound(range.start());
    if (at != owner.pieces.begin() && std::prev(at)->second.range.overlaps(range)) --at;
    for (; at != owner.pieces.end() && at->second.range.overlaps(range); ++at) {
      if (mode == LockMode::kShared && at->second.mode == LockMode::kShared) continue;
      first = &owner;
      lowest = at;
      break;
    }
  }
  if (first == nullptr) return std::nullopt;
  // Ranges set through different handles are kept apart; fcntl shows one lock.
  Piece shown = lowest->second;
  std::uint64_t start = shown.range.start();
  std::uint64_t end = shown.range.end();
  for (auto at = lowest; at != first->pieces.begin();) {
    --at;
    if (at->second.range.end() != start || at->second.mode != shown.mode) break;
    start = at->second.range.start();
  }
  for (auto at = std::next(lowest); at != first->pieces.end(); ++at) {
    if (at->second.range.start() != end || at->second.mode != shown.mode) break;
    end = at->second.range.end();
  }
  shown.range = *ByteRange::make(start, end);
  return shown;
}

bool HeldLocks::any(const FileKey& key) const {
  return files_.contains(key);
}

bool HeldLocks::any_exclusive(const FileKey& key) const {
  const auto found = files_.find(key);
  if (found == files_.end()) return false;
  for (const auto& [agent, owner] : found->second.owners) {
    for (const auto& [start, piece] : owner.pieces)
      if (piece.mode == LockMode::kExclusive) return true;
  }
  return false;
}

std::size_t HeldLocks::pieces(const FileKey& key) const {
  const auto found = files_.find(key);
  return found == files_.end() ? 0 : found->second.pieces;
}

bool HeldLocks::any_uncertain(const FileKey& key) const {
  const auto found = files_.find(key);
  if (found == files_.end()) return false;
  const auto& owners = found->second.owners;
  return std::any_of(owners.begin(), owners.end(),
                     [](const auto& entry) { return entry.second.uncertain; });
}

std::vector<HeldLock> HeldLocks::locks_of(const FileKey& key) const {
  std::vector<HeldLock> locks;
  const auto found = files_.find(key);
  if (found == files_.end()) return locks;
  const File& file = found->second;
  std::vector<std::pair<std::uint64_t, Agent>> order;
  for (const auto& [agent, owner] : file.owners)
    order.emplace_back(owner.arrived, agent);
  std::sort(order.begin(), order.end());
  locks.reserve(file.pieces);
  for (const auto& [arrived, agent] : order) {
    for (const auto& [start, piece] : file.owners.at(agent).pieces) {
      locks.push_back({.file = key,
                       .space = agent.space,
                       .owner = agent.owner,
                       .handle = piece.handle,
                       .mode = piece.mode,
                       .range = piece.range,
                       .pid = piece.pid,
                       .wal_database = file.database});
    }
  }
  return locks;
}

std::vector<HeldLocks::Told> HeldLocks::told_of(std::uint64_t fileid, std::size_t count) const {
  std::vector<Told> told;
  for (auto at = files_.lower_bound({.fileid = fileid, .handle_hash = 0});
       at != files_.end() && at->first.fileid == fileid; ++at) {
    for (HeldLock& lock : locks_of(at->first)) {
      if (told.size() >= count) return told;
      const Owner* owner = find(at->first, {lock.space, lock.owner});
      told.push_back({std::move(lock), owner->since});
    }
  }
  return told;
}

bool HeldLocks::claimed(const FileKey& database) const {
  const auto found = files_.find(database);
  return found != files_.end() && found->second.claimed;
}

bool HeldLocks::uses_lock_bytes(const FileKey& database) const {
  const auto found = files_.find(database);
  return found != files_.end() && found->second.database_pieces > 0;
}

std::vector<FileKey> HeldLocks::tied_to(const FileKey& database) const {
  const auto found = files_.find(database);
  if (found == files_.end()) return {};
  return {found->second.tied.begin(), found->second.tied.end()};
}

std::optional<FileKey> HeldLocks::database_of(const FileKey& key) const {
  const auto found = files_.find(key);
  return found == files_.end() ? std::nullopt : found->second.database;
}

}  // namespace holdfast::fs
