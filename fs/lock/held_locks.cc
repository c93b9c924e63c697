#include "fs/lock/held_locks.h"

#include <algorithm>

namespace holdfast::fs {
namespace {

std::optional<ByteRange> common(const ByteRange& one, const ByteRange& other) {
  return ByteRange::make(std::max(one.start(), other.start()), std::min(one.end(), other.end()));
}

// Takes `hole` out of `pieces`.
std::vector<HeldLocks::Piece> without(const std::vector<HeldLocks::Piece>& pieces,
                                      const ByteRange& hole) {
  std::vector<HeldLocks::Piece> rest;
  for (const auto& piece : pieces) {
    const std::uint64_t before_end = std::min(piece.range.end(), hole.start());
    const std::uint64_t after_start = std::max(piece.range.start(), hole.end());
    if (const auto before = ByteRange::make(piece.range.start(), before_end)) {
      rest.push_back({*before, piece.mode, piece.handle});
    }
    if (const auto after = ByteRange::make(after_start, piece.range.end())) {
      rest.push_back({*after, piece.mode, piece.handle});
    }
  }
  return rest;
}

}  // namespace

void HeldLocks::apply(const Command& command) {
  std::visit([this](const auto& one) { apply_one(one); }, command);
}

void HeldLocks::refused(const Command& command, LockErrc errc) {
  const auto* lock = std::get_if<LockRequest>(&command);
  if (lock == nullptr || lock->space != LockSpace::kFlock) return;
  // Interrupted is what lockd answers to who waited; other refusals come before the old lock goes.
  if (errc != LockErrc::kWouldBlock && errc != LockErrc::kInterrupted) return;
  apply_one(UnlockRequest{lock->file, lock->space, lock->owner, lock->range});
}

void HeldLocks::apply_one(const LockRequest& request) {
  Held& held = owners_[Key{request.file, request.space, request.owner}];
  held.pieces = without(held.pieces, request.range);
  const auto at = std::find_if(held.pieces.begin(), held.pieces.end(), [&](const Piece& piece) {
    return piece.range.start() > request.range.start();
  });
  held.pieces.insert(at, Piece{request.range, request.mode, request.handle});
}

void HeldLocks::apply_one(const UnlockRequest& request) {
  const auto found = owners_.find(Key{request.file, request.space, request.owner});
  if (found == owners_.end()) return;
  found->second.pieces = without(found->second.pieces, request.range);
  if (found->second.forgettable()) owners_.erase(found);
}

void HeldLocks::apply_one(const ReleaseOwnerRequest& request) {
  const auto found = owners_.find(Key{request.file, LockSpace::kRange, request.owner});
  if (found == owners_.end()) return;
  found->second.pieces.clear();
  if (found->second.forgettable()) owners_.erase(found);
}

void HeldLocks::apply_one(const ReleaseHandleRequest& request) {
  auto it = owners_.lower_bound(Key{request.file, LockSpace::kRange, OwnerId{0}});
  while (it != owners_.end() && it->first.file == request.file) {
    std::erase_if(it->second.pieces,
                  [&](const Piece& piece) { return piece.handle == request.handle; });
    it = it->second.forgettable() ? owners_.erase(it) : std::next(it);
  }
}

std::vector<HeldLocks::Piece> HeldLocks::within(const FileKey& file, LockSpace space, OwnerId owner,
                                                const ByteRange& range) const {
  std::vector<Piece> inside;
  const auto found = owners_.find(Key{file, space, owner});
  if (found == owners_.end()) return inside;
  for (const Piece& piece : found->second.pieces) {
    if (const auto both = common(piece.range, range)) {
      inside.push_back({*both, piece.mode, piece.handle});
    }
  }
  return inside;
}

void HeldLocks::mark_uncertain(const FileKey& file, LockSpace space, OwnerId owner) {
  owners_[Key{file, space, owner}].uncertain = true;
}

bool HeldLocks::uncertain(const FileKey& file, LockSpace space, OwnerId owner) const {
  const auto found = owners_.find(Key{file, space, owner});
  return found != owners_.end() && found->second.uncertain;
}

}  // namespace holdfast::fs
