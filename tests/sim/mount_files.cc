#include "tests/sim/mount_files.h"

#include "holdfast/base/mutation.h"
#include "tests/sim/worker.h"

#include <algorithm>

namespace holdfast::sim {
namespace {

constexpr Duration kDropMax = milliseconds(2);

}  // namespace

MountFiles::MountFiles(World& world, const Scenario& scenario, MountNode& mount,
                       Freshness& freshness)
    : world_(world),
      scenario_(scenario),
      mount_(mount),
      freshness_(freshness),
      shelves_(scenario.total_files()) {}

void MountFiles::later(Duration at_most, std::function<void()> then) {
  world_.in(world_.rng.up_to(at_most), &mount_.process(), [then = std::move(then)] { then(); });
}

void MountFiles::enter(Turns& turns, std::function<void()> then) {
  if (turns.busy) {
    turns.next.push_back(std::move(then));
    return;
  }
  turns.busy = true;
  then();
}

void MountFiles::leave(Turns& turns) {
  if (turns.next.empty()) {
    turns.busy = false;
    return;
  }
  auto then = std::move(turns.next.front());
  turns.next.pop_front();
  then();
}

// ---- Pages

std::uint64_t MountFiles::lock_page(std::size_t file) {
  const std::uint64_t id = ++last_page_;
  shelves_[file].locked.emplace(id, Locked{});
  return id;
}

bool MountFiles::unlock_page(std::size_t file, std::uint64_t id) {
  Shelf& shelf = shelves_[file];
  const auto page = shelf.locked.extract(id);
  const auto waits = shelf.when_unlocked;  // it may replace itself
  if (waits) waits();
  if (shelf.dropping.erase(id) > 0) look_at_drop(file);
  return page.mapped().leaves_page;
}

// Whoever has a page locked goes on under the next token; until then nobody else reads.
void MountFiles::begin_drop(std::size_t file) {
  Shelf& shelf = shelves_[file];
  for (auto& [id, page] : shelf.locked) {
    page.leaves_page = false;
    shelf.dropping.insert(id);
  }
  if (std::exchange(shelf.drop_begun, true)) return;
  later(kDropMax, [this, file] { look_at_drop(file); });
}

void MountFiles::look_at_drop(std::size_t file) {
  Shelf& shelf = shelves_[file];
  if (!shelf.drop_begun || !shelf.dropping.empty()) return;
  shelf.drop_begun = false;
  shelf.pages.clear();
  for (const auto& then : std::exchange(shelf.after_drop, {}))
    then();
}

void MountFiles::renew(std::size_t file) {
  Shelf& shelf = shelves_[file];
  const std::uint64_t generation = mount_.generation(file);
  std::erase_if(shelf.pages, [&](const auto& entry) {
    return generation == 0 || entry.second.generation != generation;
  });
  for (auto& [id, page] : shelf.locked)
    if (generation == 0 || page.generation != generation) page.leaves_page = false;
}

void MountFiles::read(Worker& worker, Lane lane, std::size_t cell, bool opened, Done done) {
  Shelf& shelf = shelves_[lane.file];
  if (worker.poisoned(lane.file)) return done({.failed = true});
  if (shelf.drop_begun && !mutated(Mutation::kReadBeforeDropped)) {
    shelf.after_drop.push_back([this, &worker, lane, cell, opened, done = std::move(done)] {
      read(worker, lane, cell, opened, done);
    });
    return;
  }
  const auto page = shelf.pages.find(cell);
  if (page != shelf.pages.end() && mount_.entitled()) {
    Result result;
    result.value = page->second.cell.value;
    result.serial = page->second.cell.serial;
    result.verifier = mount_.storage().verifier();
    result.judged = opened || page->second.generation != 0;
    return later(microseconds(5), [done = std::move(done), result] { done(result); });
  }
  const std::uint64_t id = lock_page(lane.file);
  mount_.pin(lane.file, TokenUse::kRead, fs::Urgency::kKernelWaits,
             [this, &worker, lane, cell, id, opened, done = std::move(done)](
                 std::optional<TokenMode>) { read_pinned(worker, lane, cell, opened, id, done); });
}

void MountFiles::read_pinned(Worker& worker, Lane lane, std::size_t cell, bool opened,
                             std::uint64_t id, const Done& done) {
  const std::size_t file = lane.file;
  Shelf& shelf = shelves_[file];
  shelf.locked.at(id).generation = mount_.generation(file);
  const std::uint64_t changes = shelf.changes;
  const auto finish = [this, file, cell, id, done](Result result) {
    const std::uint64_t generation = shelves_[file].locked.at(id).generation;
    if (unlock_page(file, id))
      shelves_[file].pages[cell] = {{result.value, result.serial},
                                    generation == mount_.generation(file) ? generation : 0};
    mount_.unpin(file);
    done(result);
  };
  const auto dirty = shelf.dirty.find(cell);
  if (dirty != shelf.dirty.end() && !dirty->second.written) {
    Result result;
    result.value = dirty->second.cell.value;
    result.serial = dirty->second.cell.serial;
    result.verifier = mount_.storage().verifier();
    return finish(result);
  }
  WriteStamp stamp{.owner = worker.owner(), .lane = lane, .counter = cell};
  mount_.io(MountNode::Io::kRead, &worker, stamp,
            [this, &worker, lane, cell, opened, id, changes, finish, done](Result result) {
              Shelf& its = shelves_[lane.file];
              if (!result.failed && its.changes == changes) return finish(result);
              // Lost, or written to meanwhile: once more. Pages that were there before are as good
              // as they were.
              unlock_page(lane.file, id);
              mount_.unpin(lane.file);
              read(worker, lane, cell, opened, done);
            });
}

// ---- Writing

void MountFiles::write(Worker& worker, Lane lane, std::size_t cell, std::uint64_t value,
                       std::uint64_t serial, Done done) {
  Shelf& shelf = shelves_[lane.file];
  WriteStamp stamp{.owner = worker.owner(), .lane = lane, .counter = cell, .value = value};
  stamp.serial = serial;
  enter(shelf.inode, [this, &worker, stamp, done = std::move(done)] {
    const std::uint64_t id = lock_page(stamp.lane.file);
    mount_.pin(stamp.lane.file, TokenUse::kWrite, fs::Urgency::kKernelWaits,
               [this, &worker, stamp, id, done](std::optional<TokenMode> mode) {
                 write_pinned(worker, *mode, stamp, id, done);
               });
  });
}

void MountFiles::put_dirty(std::size_t file, std::size_t cell, Dirty dirty) {
  Shelf& shelf = shelves_[file];
  ++shelf.changes;
  dirty.sequence = dirty.since = ++shelf.last_sequence;
  const auto old = shelf.dirty.find(cell);
  if (old != shelf.dirty.end()) {
    dirty.since = old->second.since;
    dirty.covers = std::move(old->second.covers);
    dirty.covers.push_back(old->second.cell.serial);
  }
  shelf.dirty[cell] = dirty;
  sync_later(file);
}

void MountFiles::write_pinned(Worker& worker, TokenMode mode, const WriteStamp& stamp,
                              std::uint64_t id, const Done& done) {
  const std::size_t file = stamp.lane.file;
  const auto finish = [this, file, id, cell = stamp.counter, done](const Result& result) {
    if (!unlock_page(file, id)) shelves_[file].pages.erase(cell);
    mount_.unpin(file);
    leave(shelves_[file].inode);
    done(result);
  };
  const auto landed = [this, stamp, file](bool written, std::uint64_t verifier) {
    Shelf& shelf = shelves_[file];
    const Cell cell{stamp.value, stamp.serial};
    Dirty dirty;
    dirty.cell = cell;
    dirty.owner = stamp.owner;
    dirty.lane = stamp.lane;
    dirty.written = written;
    dirty.verifier = verifier;
    put_dirty(file, stamp.counter, dirty);
    shelf.pages[stamp.counter] = {cell, mount_.generation(file)};
    check_generation(shelf, file);
    if (shelf.kept_generation != 0) shelf.kept[stamp.counter] = cell;
  };
  if (worker.poisoned(file)) return finish({.failed = true});
  shelves_[file].written_alone = mode == TokenMode::kExclusive;
  shelves_[file].last_writer = stamp.owner;
  if (mode == TokenMode::kExclusive) {
    landed(false, 0);
    return finish({.value = stamp.value});
  }
  write_through(worker, stamp, [landed, finish](const Result& result) {
    if (!result.failed) landed(true, result.verifier);
    finish(result);
  });
}

// As fs/cache does it: within, under a pin of its own.
void MountFiles::write_through(Worker& worker, const WriteStamp& stamp,
                               const std::function<void(const Result&)>& then) {
  const std::size_t file = stamp.lane.file;
  enter(shelves_[file].storage, [this, &worker, stamp, file, then] {
    const std::uint64_t life = shelves_[file].life;
    const auto write = [this, &worker, stamp, file, then, life](std::optional<TokenMode> pinned) {
      if (!pinned) {
        leave(shelves_[file].storage);
        return then({.failed = true});
      }
      const auto end = [this, file, then](const Result& result) {
        ++shelves_[file].changes;
        mount_.unpin(file);
        leave(shelves_[file].storage);
        then(result);
      };
      // The token was lost, though it is pinned still.
      if (shelves_[file].life != life) return end({.failed = true});
      ++shelves_[file].changes;
      mount_.io(MountNode::Io::kWrite, &worker, stamp, end);
    };
    mount_.pin(file, TokenUse::kWrite, fs::Urgency::kWithin, write);
  });
}

// ---- Attributes and names

// What was kept under another token is void.
void MountFiles::check_generation(Shelf& shelf, std::size_t file) const {
  const std::uint64_t generation = mount_.generation(file);
  if (generation == shelf.kept_generation) return;
  shelf.kept.clear();
  shelf.complete = false;
  shelf.kept_generation = generation;
}

void MountFiles::lay_over(const Shelf& shelf, Row& row) {
  for (const auto& [cell, dirty] : shelf.dirty)
    if (!dirty.written) row[cell] = dirty.cell;
}

void MountFiles::look(Worker& worker, std::size_t file, Done done) {
  mount_.pin(file, TokenUse::kRead, fs::Urgency::kKernelWaits,
             [this, &worker, file, done = std::move(done)](std::optional<TokenMode>) {
               look_pinned(worker, file, done);
             });
}

void MountFiles::look_pinned(Worker& worker, std::size_t file, const Done& done) {
  Shelf& shelf = shelves_[file];
  check_generation(shelf, file);
  const auto finish = [this, file, done](Row row) {
    Shelf& its = shelves_[file];
    lay_over(its, row);
    Result result;
    result.row = std::make_shared<const Row>(row);
    mount_.unpin(file);
    done(result);
  };
  if (shelf.complete) {
    Row row{};
    for (const auto& [cell, kept] : shelf.kept)
      row[cell] = kept;
    return finish(row);
  }
  const std::uint64_t changes = shelf.changes;
  const std::uint64_t generation = shelf.kept_generation;
  WriteStamp stamp{.owner = worker.owner(), .lane = {file, LockSpace::kRange}};
  mount_.io(MountNode::Io::kLook, &worker, stamp,
            [this, &worker, file, changes, generation, finish, done](const Result& result) {
              Shelf& its = shelves_[file];
              if (result.failed || its.changes != changes || its.changing > 0) {
                mount_.unpin(file);
                if (result.failed && worker.poisoned(file)) return done({.failed = true});
                return look(worker, file, done);
              }
              check_generation(its, file);
              if (generation != 0 && its.kept_generation == generation) {
                Row row = *result.row;
                lay_over(its, row);
                for (std::size_t cell = 0; cell < kCounters; ++cell)
                  its.kept[cell] = row[cell];
                its.complete = true;
              }
              finish(*result.row);
            });
}

void MountFiles::look_up(Worker& worker, std::size_t directory, std::size_t name, Done done) {
  mount_.pin(directory, TokenUse::kRead, fs::Urgency::kKernelWaits,
             [this, &worker, directory, name, done = std::move(done)](std::optional<TokenMode>) {
               Shelf& shelf = shelves_[directory];
               check_generation(shelf, directory);
               const auto finish = [this, directory, done](const Cell& cell) {
                 mount_.unpin(directory);
                 Result result;
                 result.value = cell.value;
                 result.serial = cell.serial;
                 done(result);
               };
               const auto kept = shelf.kept.find(name);
               if (kept != shelf.kept.end()) return finish(kept->second);
               const auto absent = shelf.absent_for_ever.find(name);
               if (absent != shelf.absent_for_ever.end()) return finish(absent->second);
               const std::uint64_t changes = shelf.changes;
               const std::uint64_t generation = shelf.kept_generation;
               WriteStamp stamp{.owner = worker.owner(), .lane = {directory, LockSpace::kRange}};
               stamp.counter = name;
               mount_.io(MountNode::Io::kRead, &worker, stamp,
                         [this, &worker, directory, name, changes, generation, finish,
                          done](const Result& result) {
                           Shelf& its = shelves_[directory];
                           if (result.failed) {
                             mount_.unpin(directory);
                             return look_up(worker, directory, name, done);
                           }
                           check_generation(its, directory);
                           const Cell cell{result.value, result.serial};
                           if (generation != 0 && its.kept_generation == generation &&
                               its.changes == changes && its.changing == 0)
                             its.kept[name] = cell;
                           finish(cell);
                         });
             });
}

// ---- Coming down

void MountFiles::drain(std::size_t file, const fs::Drain& drain) {
  const std::uint64_t round = drain.round;
  world_.note("mount {}: is to give up file {} (round {}{})", mount_.index(), file, round,
              drain.pages == fs::DropPages::kBegun ? ", the last" : "");
  shelves_[file].drain_round = round;
  sync(file, [this, file, drain](bool stable) {
    if (shelves_[file].drain_round != drain.round) return;
    if (!stable) mount_.give_up_unwritten(file);
    if (drain.keep == TokenMode::kRead) return mount_.drained(file, drain.round);
    drop(file, drain.round, drain.pages);
  });
}

void MountFiles::drop(std::size_t file, std::uint64_t round, fs::DropPages pages) {
  Shelf& shelf = shelves_[file];
  if (mutated(Mutation::kNegativeNamesKept)) {
    for (const auto& [name, cell] : shelf.kept)
      if (scenario_.is_directory(file) && cell.value == 0) shelf.absent_for_ever[name] = cell;
  }
  shelf.kept.clear();
  shelf.complete = false;
  std::set<std::uint64_t> locked;
  if (pages == fs::DropPages::kBegun) {
    begin_drop(file);
  } else {
    for (const auto& [id, page] : shelf.locked)
      locked.insert(id);
  }
  if (pages == fs::DropPages::kEnded && !mutated(Mutation::kInvalidateSkipped)) {
    shelf.pages.clear();
    for (auto& [id, page] : shelf.locked)
      page.leaves_page = false;
  }
  drop_when_unlocked(file, round, locked);
}

// Dropping a page waits for the READ or WRITE that has it locked.
void MountFiles::drop_when_unlocked(std::size_t file, std::uint64_t round,
                                    const std::set<std::uint64_t>& locked) {
  Shelf& shelf = shelves_[file];
  const bool waits = std::any_of(locked.begin(), locked.end(),
                                 [&](std::uint64_t id) { return shelf.locked.contains(id); });
  if (waits) {
    shelf.when_unlocked = [this, file, round, locked] { drop_when_unlocked(file, round, locked); };
    return;
  }
  shelf.when_unlocked = nullptr;
  later(kDropMax, [this, file, round] {
    if (shelves_[file].drain_round == round) mount_.drained(file, round);
  });
}

void MountFiles::forget(std::size_t file) {
  Shelf& shelf = shelves_[file];
  if (!shelf.dirty.empty() || !shelf.locked.empty() || shelf.inode.busy || shelf.flushing) return;
  shelf.pages.clear();
  shelf.kept.clear();
  shelf.complete = false;
  mount_.forgotten(file);
}

void MountFiles::lost(std::size_t file) {
  Shelf& shelf = shelves_[file];
  ++shelf.life;
  shelf.pages.clear();
  for (auto& [id, page] : shelf.locked)
    page.leaves_page = false;
  shelf.kept.clear();
  shelf.complete = false;
  shelf.kept_generation = 0;
  shelf.written_alone = false;
  shelf.drain_round = 0;
  shelf.when_unlocked = nullptr;
}

void MountFiles::discard(std::size_t file) {
  ++shelves_[file].life;
  shelves_[file].dirty.clear();
}

}  // namespace holdfast::sim
