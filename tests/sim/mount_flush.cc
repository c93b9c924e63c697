// What a mount has written and is not on stable storage: how it gets there.

#include "tests/sim/mount_files.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

template <class Dirty>
std::vector<std::uint64_t> serials_of(const Dirty& dirty) {
  auto serials = dirty.covers;
  serials.push_back(dirty.cell.serial);
  return serials;
}

}  // namespace

void MountFiles::sync(std::size_t file, std::function<void()> done) {
  Shelf& shelf = shelves_[file];
  if (shelf.dirty.empty()) return later(microseconds(5), std::move(done));
  shelf.flushes.push_back({shelf.last_sequence, std::move(done)});
  if (!shelf.flushing) flush_next(file);
}

void MountFiles::sync_all() {
  for (std::size_t file = 0; file < shelves_.size(); ++file)
    sync(file, [] {});
}

bool MountFiles::all_clean() const {
  return std::all_of(shelves_.begin(), shelves_.end(),
                     [](const Shelf& shelf) { return shelf.dirty.empty(); });
}

bool MountFiles::must_sync(std::size_t file) const {
  return !shelves_[file].dirty.empty() && mount_.generation(file) == 0;
}

bool MountFiles::has_unwritten(std::size_t file, OwnerId owner) const {
  const auto& dirty = shelves_[file].dirty;
  return std::any_of(dirty.begin(), dirty.end(),
                     [&](const auto& entry) { return entry.second.owner == owner; });
}

bool MountFiles::unstable_under_token(std::size_t file) const {
  return shelves_[file].written_alone && !shelves_[file].dirty.empty();
}

void MountFiles::flush_next(std::size_t file) {
  shelves_[file].flushing = true;
  enter(shelves_[file].storage, [this, file] { write_out(file); });
}

void MountFiles::write_out(std::size_t file) {
  Shelf& shelf = shelves_[file];
  struct Round {
    std::size_t open = 1;
    std::vector<Sent> sent;
  };
  auto round = std::make_shared<Round>();
  const auto answered = [this, file, round] {
    if (--round->open == 0) commit(file, round->sent);
  };
  const std::uint64_t life = shelf.life;
  const auto dirty = shelf.dirty;  // it changes below
  for (const auto& [cell, entry] : dirty) {
    if (entry.written) {
      round->sent.push_back({cell, entry.sequence, serials_of(entry), entry.verifier});
      continue;
    }
    ++round->open;
    WriteStamp stamp{
        .owner = entry.owner, .lane = entry.lane, .counter = cell, .value = entry.cell.value};
    stamp.serial = entry.cell.serial;
    mount_.io(
        MountNode::Io::kWrite, nullptr, stamp,
        [this, file, cell = cell, entry = entry, round, life, answered](const Result& result) {
          Shelf& its = shelves_[file];
          if (!result.failed && its.life == life) {
            round->sent.push_back({cell, entry.sequence, serials_of(entry), result.verifier});
            ++its.changes;
            Dirty& now = its.dirty[cell];
            if (now.sequence == entry.sequence) {
              now.written = true;
              now.verifier = result.verifier;
            }
          }
          answered();
        });
  }
  answered();
}

void MountFiles::commit(std::size_t file, const std::vector<Sent>& sent) {
  Shelf& shelf = shelves_[file];
  if (shelf.dirty.empty()) return flushed(file);  // lost meanwhile
  const std::uint64_t life = shelf.life;
  WriteStamp stamp{.lane = {file, LockSpace::kRange}};
  mount_.io(MountNode::Io::kCommit, nullptr, stamp, [this, file, sent, life](const Result& result) {
    Shelf& its = shelves_[file];
    if (!result.failed && its.life == life) {
      ++its.changes;
      for (const Sent& one : sent) {
        const auto at = its.dirty.find(one.cell);
        if (at == its.dirty.end()) continue;
        Dirty& dirty = at->second;
        if (one.verifier != result.verifier) {
          // The server was restarted in between: the data goes out again (RFC 1813, 4.8).
          if (dirty.sequence == one.sequence) dirty.written = false;
          for (const std::uint64_t serial : one.serials)
            freshness_.goes_again(file, one.cell, serial);
          continue;
        }
        for (const std::uint64_t serial : one.serials)
          freshness_.stable(file, one.cell, serial);
        if (dirty.sequence == one.sequence) {
          its.dirty.erase(at);
        } else {
          dirty.since = std::max(dirty.since, one.sequence + 1);
          std::erase_if(dirty.covers, [&](std::uint64_t serial) {
            return std::count(one.serials.begin(), one.serials.end(), serial) > 0;
          });
        }
      }
    }
    flushed(file);
  });
}

void MountFiles::flushed(std::size_t file) {
  Shelf& shelf = shelves_[file];
  std::uint64_t oldest = UINT64_MAX;
  for (const auto& [cell, dirty] : shelf.dirty)
    oldest = std::min(oldest, dirty.since);
  std::vector<std::function<void()>> done;
  while (!shelf.flushes.empty() && shelf.flushes.front().upto < oldest) {
    done.push_back(std::move(shelf.flushes.front().done));
    shelf.flushes.pop_front();
  }
  shelf.flushing = false;
  leave(shelf.storage);
  if (!shelf.flushes.empty() && !shelf.flushing) flush_next(file);
  for (const auto& one : done)
    one();
}

}  // namespace holdfast::sim
