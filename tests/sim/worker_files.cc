// What applications do with files and directories when tokens are on, and how they use what their
// mount keeps.

#include "tests/sim/mount_files.h"
#include "tests/sim/worker.h"

#include <algorithm>

namespace holdfast::sim {

// ---- Plans

std::size_t Worker::some_file() {
  const std::size_t file = world_.rng.index(scenario_.files);
  if (scenario_.favourite <= 0 || !world_.rng.chance(scenario_.favourite)) return file;
  return mount_.index() % scenario_.files;
}

void Worker::add_file(Do what, std::size_t file, std::size_t cell) {
  add(what, {file, LockSpace::kRange}, ByteRange::whole_file());
  script_.back().cell = cell;
}

void Worker::plan_files() {
  auto& rng = world_.rng;
  const std::size_t file = some_file();
  const std::size_t directory =
      scenario_.files + (rng.chance(scenario_.favourite) ? mount_.index() % scenario_.directories
                                                         : rng.index(scenario_.directories));
  const std::size_t name = rng.index(kNames);
  const std::size_t any_cell = rng.index(kCounters);
  const std::size_t free_cell = kFreeCounter + rng.index(kFreeCounters);
  const std::uint64_t dice = rng.below(100);
  if (dice < 12) return add_file(Do::kStat, file, 0);
  if (dice < 24) {
    add_file(Do::kOpenAndRead, file, any_cell);
    for (std::uint64_t more = rng.below(4); more > 0; --more) {
      if (rng.chance(0.5)) add_file(Do::kThink, file, 0);
      add_file(Do::kReadOn, file, rng.chance(0.7) ? any_cell : free_cell);
    }
    return;
  }
  if (dice < 40) {
    add_file(Do::kFreeWrite, file, free_cell);
    if (rng.chance(0.3)) add_file(Do::kFreeWrite, file, free_cell);
    if (rng.chance(0.5)) add_file(Do::kSync, file, 0);
    return;
  }
  if (dice < 55) {
    // As SQLite looks for a hot journal.
    add_file(Do::kLookUp, directory, name);
    add_file(Do::kOpenAndRead, kNoFile, free_cell);
    if (rng.chance(0.5)) add_file(Do::kStat, kNoFile, 0);
    if (rng.chance(0.3))
      plan_increment({kNoFile, LockSpace::kRange}, some_range(), LockMode::kExclusive, Wait::kYes);
    return;
  }
  if (dice < 63) return add_file(Do::kList, directory, 0);
  if (dice < 85) {
    add_file(Do::kCreate, directory, name);
    add_file(Do::kFreeWrite, kNoFile, free_cell);
    if (rng.chance(0.5)) add_file(Do::kSync, kNoFile, 0);
    if (rng.chance(0.3))
      plan_increment({kNoFile, LockSpace::kRange}, some_range(), LockMode::kExclusive, Wait::kYes);
    if (rng.chance(0.3)) add_file(Do::kThink, directory, 0);
    if (rng.chance(0.8)) add_file(Do::kRemove, directory, name);
    if (rng.chance(0.3)) add_file(Do::kForget, kNoFile, 0);
    return;
  }
  if (dice < 93) return add_file(Do::kRemove, directory, name);
  add_file(Do::kRename, directory, name);
  script_.back().to_directory =
      rng.chance(0.5) ? directory : scenario_.files + rng.index(scenario_.directories);
  script_.back().to_name = rng.index(kNames);
  const Step& step = script_.back();
  if (step.to_directory == directory && step.to_name == name) script_.pop_back();
}

bool Worker::uses(std::size_t file) const {
  return holds(file) || std::any_of(script_.begin(), script_.end(),
                                    [&](const Step& step) { return step.lane.file == file; });
}

// A lock goes, or becomes weaker.
bool Worker::weakens(const Command& command) const {
  const auto* lock = std::get_if<LockRequest>(&command);
  const bool keeps =
      lock != nullptr && lock->mode == LockMode::kExclusive && lock->space == LockSpace::kRange;
  return !keeps && !std::holds_alternative<QueryRequest>(command) &&
         mount_.files().must_sync(script_[at_].lane.file);
}

void Worker::renew_pages(const Outcome& outcome) {
  if (!pending_ || !std::holds_alternative<Granted>(outcome)) return;
  if (const auto* lock = std::get_if<LockRequest>(&*pending_))
    mount_.files().renew(file_of(lock->file));
}

// ---- Steps

void Worker::run_file(const Step& step) {
  const std::size_t file = step.lane.file;
  switch (step.what) {
    case Do::kOpenAndRead:
      mount_.files().renew(file);
      return read_kept(step, step.cell, true);
    case Do::kReadOn:
      return read_kept(step, step.cell, false);
    case Do::kFreeWrite:
      return write_kept(step, step.cell, 0);
    case Do::kSync:
      return sync_kept(step);
    case Do::kStat:
    case Do::kList:
      return look(step);
    case Do::kLookUp:
      return look_up(step);
    case Do::kForget:
      mount_.files().forget(file);
      return advance();
    default:
      return run_change(step);
  }
}

void Worker::read_kept(const Step& step, std::size_t cell, bool opened) {
  const std::size_t file = step.lane.file;
  const auto floor = mount_.freshness().floor(file, cell);
  mount_.files().read(*this, step.lane, cell, opened,
                      [this, step, file, cell, floor](const MountNode::IoResult& result) {
                        if (!result.failed && result.judged)
                          mount_.freshness().seen(mount_.index(), file, cell, result.serial, floor,
                                                  "read");
                        io_done(step, result);
                      });
}

void Worker::write_kept(const Step& step, std::size_t cell, std::uint64_t value) {
  const std::size_t file = step.lane.file;
  const std::uint64_t serial = mount_.freshness().begins(mount_.index(), file, cell);
  written_[file] = true;
  mount_.files().write(*this, step.lane, cell, value, serial,
                       [this, step, file, cell, serial](const MountNode::IoResult& result) {
                         if (result.failed) {
                           mount_.freshness().failed(file, cell, serial);
                         } else {
                           mount_.freshness().completed(file, cell, serial);
                         }
                         io_done(step, result);
                       });
}

void Worker::sync_kept(const Step& step) {
  mount_.files().sync(step.lane.file, [this, step](bool stable) {
    const bool failed = !stable || poisoned_[step.lane.file];
    if (!failed) written_[step.lane.file] = false;
    io_done(step, {.failed = failed});
  });
}

void Worker::look(const Step& step) {
  const std::size_t file = step.lane.file;
  mount_.files().look(
      *this, file,
      [this, step, file,
       floors = mount_.freshness().floors(file)](const MountNode::IoResult& result) {
        if (result.failed) return fail("I/O error");
        for (std::size_t cell = 0; cell < kCounters; ++cell)
          mount_.freshness().seen(mount_.index(), file, cell, (*result.row)[cell].serial,
                                  floors[cell], step.what == Do::kStat ? "stat" : "readdir");
        advance();
      });
}

void Worker::look_up(const Step& step) {
  const std::size_t directory = step.lane.file;
  const auto floor = mount_.freshness().floor(directory, step.cell);
  mount_.files().look_up(*this, directory, step.cell,
                         [this, step, directory, floor](const MountNode::IoResult& result) {
                           if (result.failed) return fail("I/O error");
                           mount_.freshness().seen(
                               mount_.index(), directory, step.cell, result.serial, floor,
                               result.value == 0 ? "lookup of an absent name" : "lookup");
                           made_.reset();
                           if (result.value != 0)
                             made_ = static_cast<std::size_t>(result.value - 1);
                           advance();
                         });
}

void Worker::run_change(const Step& step) {
  using Kind = WriteStamp::Kind;
  Freshness& freshness = mount_.freshness();
  const std::size_t directory = step.lane.file;
  WriteStamp stamp{.owner = owner_, .lane = step.lane, .counter = step.cell};
  stamp.kind = step.what == Do::kCreate   ? Kind::kCreate
               : step.what == Do::kRemove ? Kind::kRemove
                                          : Kind::kRename;
  if (stamp.kind == Kind::kCreate) {
    const auto file = mount_.fresh_file();
    if (!file) return advance();
    stamp.value = *file + 1;
  }
  stamp.serial = freshness.begins(mount_.index(), directory, step.cell);
  if (stamp.kind == Kind::kRename) {
    stamp.to_file = static_cast<std::uint32_t>(step.to_directory);
    stamp.to_cell = static_cast<std::uint32_t>(step.to_name);
    stamp.to_serial = freshness.begins(mount_.index(), step.to_directory, step.to_name);
  }
  const auto each = [this,
                     stamp](void (Freshness::*what)(std::size_t, std::size_t, std::uint64_t)) {
    (mount_.freshness().*what)(stamp.lane.file, stamp.counter, stamp.serial);
    if (stamp.kind == Kind::kRename)
      (mount_.freshness().*what)(stamp.to_file, stamp.to_cell, stamp.to_serial);
  };
  mount_.files().change(*this, stamp, [this, stamp, each](const MountNode::IoResult& result) {
    if (result.failed || result.value == 0) {
      each(&Freshness::failed);
    } else {
      each(&Freshness::completed);
      each(&Freshness::stable);
    }
    if (result.failed) return fail("I/O error");
    if (stamp.kind == Kind::kCreate && result.value == 1)
      made_ = static_cast<std::size_t>(stamp.value - 1);
    advance();
  });
}

}  // namespace holdfast::sim
