// What a mount has written and is not on stable storage: how it gets there.

#include "tests/sim/mount_files.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {
namespace {

constexpr Duration kFlushAfterMax = seconds(4);

template <class Dirty>
std::vector<std::uint64_t> serials_of(const Dirty& dirty) {
  auto serials = dirty.covers;
  serials.push_back(dirty.cell.serial);
  return serials;
}

}  // namespace

void MountFiles::sync(std::size_t file, Synced done) {
  Shelf& shelf = shelves_[file];
  if (shelf.dirty.empty()) return later(microseconds(5), [done = std::move(done)] { done(true); });
  shelf.flushes.push_back({shelf.last_sequence, std::move(done)});
  if (!shelf.flushing) flush_next(file);
}

void MountFiles::sync_later(std::size_t file) {
  if (std::exchange(shelves_[file].flush_due, true)) return;
  world_.in(world_.rng.up_to(kFlushAfterMax), &mount_.process(), [this, file] {
    shelves_[file].flush_due = false;
    sync(file, [](bool) {});
  });
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
    send(stamp, [this, cell = cell, entry = entry, round, life, answered](const Result& result) {
      Shelf& its = shelves_[entry.lane.file];
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

// As fs/cache does it: not without a token, which somebody else may have. What there is of one
// stays till this has ended: whoever gives it up waits for the flush, and a loss ends it.
void MountFiles::send(const WriteStamp& stamp, const std::function<void(const Result&)>& then) {
  const std::size_t file = stamp.lane.file;
  if (mount_.has_write_token(file)) return mount_.io(MountNode::Io::kWrite, nullptr, stamp, then);
  mount_.pin(file, TokenUse::kWrite, fs::Urgency::kWithin,
             [this, file, stamp, then](std::optional<TokenMode> pinned) {
               if (!pinned) {
                 not_stable(file);
                 return then({.failed = true});
               }
               mount_.io(MountNode::Io::kWrite, nullptr, stamp,
                         [this, file, then](const Result& result) {
                           mount_.unpin(file);
                           then(result);
                         });
             });
}

// Whoever waits hears of it. The data is kept, and goes out under the next token.
void MountFiles::not_stable(std::size_t file) {
  for (const Flush& one : std::exchange(shelves_[file].flushes, {}))
    one.done(false);
  sync_later(file);
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
  std::vector<Synced> done;
  while (!shelf.flushes.empty() && shelf.flushes.front().upto < oldest) {
    done.push_back(std::move(shelf.flushes.front().done));
    shelf.flushes.pop_front();
  }
  shelf.flushing = false;
  leave(shelf.storage);
  if (!shelf.flushes.empty() && !shelf.flushing) flush_next(file);
  for (const auto& one : done)
    one(true);
}

}  // namespace holdfast::sim
