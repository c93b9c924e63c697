#include "fs/lock/held_locks.h"

#include <algorithm>

namespace holdfast::fs {
namespace {

// sqlite: src/os.h, PENDING_BYTE, RESERVED_BYTE, SHARED_FIRST, SHARED_SIZE.
constexpr ByteRange kDatabaseLockBytes =
    *ByteRange::make(0x4000'0000, 0x4000'0000 + std::uint64_t{512});

std::optional<ByteRange> common(const ByteRange& one, const ByteRange& other) {
  return ByteRange::make(std::max(one.start(), other.start()), std::min(one.end(), other.end()));
}

bool on_lock_bytes(LockSpace space, const ByteRange& range) {
  return space == LockSpace::kRange && range.overlaps(kDatabaseLockBytes);
}

bool agree(const HeldLocks::Piece& one, const HeldLocks::Piece& other) {
  return one.mode == other.mode && one.handle == other.handle && one.pid == other.pid;
}

}  // namespace

// ---- Pieces of one owner

void HeldLocks::add(File& file, Agent agent, Owner& owner, const Piece& piece) {
  owner.pieces.emplace(piece.range.start(), piece);
  ++file.pieces;
  ++pieces_;
  ++file.through[{piece.handle, agent}];
  if (on_lock_bytes(agent.space, piece.range)) ++file.database_pieces;
}

std::map<std::uint64_t, HeldLocks::Piece>::iterator HeldLocks::remove(
    File& file, Agent agent, Owner& owner, std::map<std::uint64_t, Piece>::iterator at) {
  --file.pieces;
  --pieces_;
  const auto through = file.through.find({at->second.handle, agent});
  if (--through->second == 0) file.through.erase(through);
  if (on_lock_bytes(agent.space, at->second.range)) --file.database_pieces;
  return owner.pieces.erase(at);
}

std::map<std::uint64_t, HeldLocks::Piece>::iterator HeldLocks::first_in(Owner& owner,
                                                                        const ByteRange& range) {
  auto at = owner.pieces.lower_bound(range.start());
  if (at != owner.pieces.begin() && std::prev(at)->second.range.overlaps(range)) --at;
  return at;
}

void HeldLocks::carve(File& file, Agent agent, Owner& owner, const ByteRange& hole) {
  auto at = first_in(owner, hole);
  while (at != owner.pieces.end() && at->second.range.overlaps(hole)) {
    Piece piece = at->second;
    const ByteRange whole = piece.range;
    at = remove(file, agent, owner, at);
    if (const auto before = ByteRange::make(whole.start(), std::min(whole.end(), hole.start()))) {
      piece.range = *before;
      add(file, agent, owner, piece);
    }
    if (const auto after = ByteRange::make(std::max(whole.start(), hole.end()), whole.end())) {
      piece.range = *after;
      add(file, agent, owner, piece);
    }
  }
}

void HeldLocks::merge_around(File& file, Agent agent, Owner& owner, std::uint64_t start) {
  auto at = owner.pieces.find(start);
  Piece merged = at->second;
  auto first = at;
  auto end = std::next(at);
  if (at != owner.pieces.begin()) {
    const Piece& before = std::prev(at)->second;
    if (before.range.end() == merged.range.start() && agree(before, merged)) --first;
  }
  if (end != owner.pieces.end()) {
    const Piece& after = end->second;
    if (after.range.start() == merged.range.end() && agree(after, merged)) ++end;
  }
  if (std::next(first) == end) return;
  merged.range = *ByteRange::make(first->second.range.start(), std::prev(end)->second.range.end());
  while (first != end)
    first = remove(file, agent, owner, first);
  add(file, agent, owner, merged);
}

// ---- What lockd said

void HeldLocks::apply(const Command& command) {
  std::visit([this](const auto& one) { apply_one(one); }, command);
}

void HeldLocks::apply_one(const LockRequest& request) {
  File& file = files_[request.file];
  const Agent agent{request.space, request.owner};
  Owner& owner = file.owners[agent];
  if (owner.pieces.empty()) {
    owner.arrived = ++last_arrival_;
    owner.since = now_;
  }
  carve(file, agent, owner, request.range);
  add(file, agent, owner, Piece{request.range, request.mode, request.handle, request.pid});
  merge_around(file, agent, owner, request.range.start());
  if (!request.wal_database) return;
  file.database = request.wal_database;
  File& database = files_[*request.wal_database];
  database.tied.insert(request.file);
  database.claimed = true;  // lockd: such a grant claims it
}

void HeldLocks::apply_one(const UnlockRequest& request) {
  free(request.file, {request.space, request.owner}, request.range);
}

void HeldLocks::apply_one(const ReleaseOwnerRequest& request) {
  free(request.file, {LockSpace::kRange, request.owner}, ByteRange::whole_file());
}

void HeldLocks::apply_one(const ReleaseHandleRequest& request) {
  const auto found = files_.find(request.file);
  if (found == files_.end()) return;
  File& file = found->second;
  for (auto at = file.through.lower_bound({request.handle, {LockSpace::kRange, OwnerId{0}}});
       at != file.through.end() && at->first.first == request.handle;) {
    const Agent agent = at->first.second;
    ++at;  // its entry goes with its last piece
    const auto holder = file.owners.find(agent);
    Owner& owner = holder->second;
    for (auto piece = owner.pieces.begin(); piece != owner.pieces.end();) {
      const bool goes = piece->second.handle == request.handle;
      piece = goes ? remove(file, agent, owner, piece) : std::next(piece);
    }
    if (owner.forgettable()) file.owners.erase(holder);
  }
  tidy(request.file);
}

void HeldLocks::apply_one(const ClaimWalRequest& request) {
  files_[request.database].claimed = true;
  review(request.database);
}

void HeldLocks::refused(const Command& command, LockErrc errc) {
  const auto* lock = std::get_if<LockRequest>(&command);
  if (lock == nullptr || lock->space != LockSpace::kFlock)
    return;                            // a refused fcntl changes nothing
  if (!converts_flock(*lock)) return;  // asked again for what it has, it gives nothing up
  // Interrupted is what lockd answers to who waited.
  if (errc == LockErrc::kWouldBlock || errc == LockErrc::kInterrupted) {
    return free(lock->file, {lock->space, lock->owner}, ByteRange::whole_file());
  }
  // A limit, met before the old lock was given up or after it had waited: who knows.
  mark_uncertain(lock->file, lock->space, lock->owner);
}

void HeldLocks::free(const FileKey& key, Agent agent, const ByteRange& range) {
  const auto found = files_.find(key);
  if (found == files_.end()) return;
  File& file = found->second;
  const auto holder = file.owners.find(agent);
  if (holder == file.owners.end()) return;
  carve(file, agent, holder->second, range);
  if (holder->second.forgettable()) file.owners.erase(holder);
  tidy(key);
}

void HeldLocks::drop(const FileKey& key) {
  const auto found = files_.find(key);
  if (found == files_.end()) return;
  File& file = found->second;
  file.owners.clear();
  file.through.clear();
  pieces_ -= file.pieces;
  file.pieces = file.database_pieces = 0;
  file.claimed = false;
  tidy(key);
}

// After something of it was freed.
void HeldLocks::tidy(const FileKey& key) {
  const auto found = files_.find(key);
  if (found == files_.end()) return;
  File& file = found->second;
  if (file.pieces == 0 && file.database) {
    const FileKey database = *file.database;
    file.database.reset();
    const auto owner = files_.find(database);
    if (owner != files_.end()) owner->second.tied.erase(key);
    review(database);
  }
  review(key);
}

void HeldLocks::review(const FileKey& database) {
  const auto found = files_.find(database);
  if (found == files_.end()) return;
  File& file = found->second;
  if (file.database_pieces == 0 && file.tied.empty()) file.claimed = false;
  if (file.owners.empty() && file.tied.empty() && !file.claimed) files_.erase(found);
}

bool HeldLocks::converts_flock(const LockRequest& request) const {
  if (request.space != LockSpace::kFlock) return false;
  const auto has = within(request.file, request.space, request.owner, ByteRange::whole_file());
  return std::any_of(has.begin(), has.end(),
                     [&](const Piece& piece) { return piece.mode != request.mode; });
}

bool HeldLocks::weaken(const LockRequest& request) {
  const auto found = files_.find(request.file);
  if (found == files_.end()) return false;
  File& file = found->second;
  const Agent agent{request.space, request.owner};
  const auto holder = file.owners.find(agent);
  if (holder == file.owners.end()) return false;
  Owner& owner = holder->second;
  if (request.space == LockSpace::kFlock) {
    const bool converts = converts_flock(request);
    if (converts) free(request.file, agent, ByteRange::whole_file());
    return converts;
  }
  if (request.mode == LockMode::kExclusive) return false;
  std::vector<Piece> exclusive;
  for (auto at = first_in(owner, request.range);
       at != owner.pieces.end() && at->second.range.overlaps(request.range); ++at) {
    if (at->second.mode == LockMode::kExclusive) exclusive.push_back(at->second);
  }
  for (Piece& piece : exclusive) {
    piece.range = *common(piece.range, request.range);
    piece.mode = LockMode::kShared;
    carve(file, agent, owner, piece.range);
    add(file, agent, owner, piece);
  }
  return !exclusive.empty();
}

// ---- What is held

const HeldLocks::Owner* HeldLocks::find(const FileKey& key, Agent agent) const {
  const auto file = files_.find(key);
  if (file == files_.end()) return nullptr;
  const auto owner = file->second.owners.find(agent);
  return owner == file->second.owners.end() ? nullptr : &owner->second;
}

std::vector<HeldLocks::Piece> HeldLocks::within(const FileKey& file, LockSpace space, OwnerId owner,
                                                const ByteRange& range) const {
  std::vector<Piece> inside;
  const Owner* holder = find(file, {space, owner});
  if (holder == nullptr) return inside;
  auto at = holder->pieces.lower_bound(range.start());
  if (at != holder->pieces.begin()) --at;
  for (; at != holder->pieces.end() && at->first < range.end(); ++at) {
    if (const auto both = common(at->second.range, range)) {
      inside.push_back(at->second);
      inside.back().range = *both;
    }
  }
  return inside;
}

std::vector<HeldLocks::Agent> HeldLocks::holders(const FileKey& key) const {
  std::vector<Agent> found;
  const auto file = files_.find(key);
  if (file == files_.end()) return found;
  for (const auto& [agent, owner] : file->second.owners)
    found.push_back(agent);
  return found;
}

std::vector<FileKey> HeldLocks::lost_with(const FileKey& key) const {
  std::vector<FileKey> files{key};
  auto file = files_.find(key);
  if (file != files_.end() && file->second.database) {
    files.front() = *file->second.database;
    file = files_.find(files.front());
  }
  if (file != files_.end()) {
    files.insert(files.end(), file->second.tied.begin(), file->second.tied.end());
  }
  return files;
}

// ---- Doubt

void HeldLocks::mark_uncertain(const FileKey& file, LockSpace space, OwnerId owner) {
  files_[file].owners[{space, owner}].uncertain = true;
}

void HeldLocks::trust(const FileKey& key, LockSpace space, OwnerId owner) {
  const auto file = files_.find(key);
  if (file == files_.end()) return;
  const auto holder = file->second.owners.find({space, owner});
  if (holder == file->second.owners.end()) return;
  holder->second.uncertain = false;
  if (holder->second.forgettable()) file->second.owners.erase(holder);
  tidy(key);
}

bool HeldLocks::uncertain(const FileKey& file, LockSpace space, OwnerId owner) const {
  const Owner* holder = find(file, {space, owner});
  return holder != nullptr && holder->uncertain;
}

std::vector<FileKey> HeldLocks::uncertain_files() const {
  std::vector<FileKey> found;
  for (const auto& [key, file] : files_) {
    if (std::any_of(file.owners.begin(), file.owners.end(),
                    [](const auto& entry) { return entry.second.uncertain; })) {
      found.push_back(key);
    }
  }
  return found;
}

// ---- Reclaim

std::vector<HeldLock> HeldLocks::next(Cursor& cursor, std::size_t count,
                                      const std::function<bool(const FileKey&)>& skip) const {
  std::vector<HeldLock> found;
  for (auto file = files_.lower_bound(cursor.file); file != files_.end(); ++file) {
    if (file->first != cursor.file) cursor = {file->first};
    if (skip && skip(file->first)) continue;
    const auto& owners = file->second.owners;
    for (auto owner = owners.lower_bound(cursor.agent); owner != owners.end(); ++owner) {
      if (owner->first != cursor.agent) cursor = {file->first, owner->first};
      const auto& pieces = owner->second.pieces;
      for (auto at = pieces.lower_bound(cursor.start); at != pieces.end(); ++at) {
        const Piece& piece = at->second;
        if (found.size() == count) return found;
        found.push_back({.file = file->first,
                         .space = owner->first.space,
                         .owner = owner->first.owner,
                         .handle = piece.handle,
                         .mode = piece.mode,
                         .range = piece.range,
                         .pid = piece.pid,
                         .wal_database = file->second.database});
        cursor.start = piece.range.end();
      }
    }
  }
  return found;
}

std::vector<FileKey> HeldLocks::wal_databases() const {
  std::vector<FileKey> found;
  for (const auto& [key, file] : files_) {
    if (file.claimed) found.push_back(key);
  }
  return found;
}

}  // namespace holdfast::fs
