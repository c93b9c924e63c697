// Changes of names: of one directory or two, and of files that leave what implies their token.
#include "holdfast/base/mutation.h"
#include "tests/sim/mount_files.h"
#include "tests/sim/worker.h"

#include <algorithm>
#include <utility>

namespace holdfast::sim {

void MountFiles::change(Worker& worker, WriteStamp stamp, Done done) {
  std::size_t first = stamp.lane.file;
  std::size_t second = stamp.kind == WriteStamp::Kind::kRename ? std::size_t{stamp.to_file} : first;
  if (second < first) std::swap(first, second);
  const auto locked = [this, &worker, stamp, first, second, done] {
    const auto end = [this, first, second, done](const Result& result) {
      if (second != first) leave(shelves_[second].inode);
      leave(shelves_[first].inode);
      done(result);
    };
    if (second != first) return change_of_two(worker, stamp, first, second, end);
    const auto pinned = [this, &worker, stamp, first, end](std::optional<TokenMode> mode) {
      if (!mode) return end({.failed = true});
      change_pinned(worker, stamp, *mode == TokenMode::kExclusive,
                    [this, first, end](const Result& result) {
                      mount_.unpin(first);
                      end(result);
                    });
    };
    mount_.pin(first, TokenUse::kWrite, fs::Urgency::kMayWait, pinned);
  };
  enter(shelves_[first].inode, [this, first, second, locked] {
    if (second == first) return locked();
    enter(shelves_[second].inode, locked);
  });
}

// Tokens in the order of their keys. One that is lost while the other is waited for, or while the
// names are looked at, is pinned still: then all over again, as fs/cache does it.
void MountFiles::change_of_two(Worker& worker, const WriteStamp& stamp, std::size_t first,
                               std::size_t second, const Done& done) {
  const auto lives = [this, first, second] {
    return std::pair(shelves_[first].life, shelves_[second].life);
  };
  const auto unpin = [this, first, second] {
    mount_.unpin(second);
    mount_.unpin(first);
  };
  const auto again = [=, this, &worker] {
    unpin();
    change_of_two(worker, stamp, first, second, done);
  };
  const auto both = [=, this, &worker, before = lives()](bool exclusive) {
    if (lives() != before) return again();
    const auto change = [this, &worker, stamp, exclusive, unpin, done] {
      change_pinned(worker, stamp, exclusive, [unpin, done](const Result& result) {
        unpin();
        done(result);
      });
    };
    which_file(worker, stamp, [=, this, &worker](std::optional<std::size_t> file) {
      if (lives() != before) return again();
      const auto cover = file ? mount_.cover(*file) : std::nullopt;
      if (!cover || *cover == stamp.to_file) return change();
      unpin();
      leave_cover(*file, stamp.to_file, [=, this, &worker](bool left) {
        if (!left) return done({.failed = true});
        change_of_two(worker, stamp, first, second, done);
      });
    });
  };
  mount_.pin(first, TokenUse::kWrite, fs::Urgency::kMayWait,
             [this, first, second, both, done](std::optional<TokenMode> one) {
               if (!one) return done({.failed = true});
               const auto pinned = [this, first, both, done, one](std::optional<TokenMode> other) {
                 if (!other) mount_.unpin(first);
                 if (!other) return done({.failed = true});
                 both(*one == TokenMode::kExclusive && *other == TokenMode::kExclusive);
               };
               mount_.pin(second, TokenUse::kWrite, fs::Urgency::kMayWait, pinned);
             });
}

void MountFiles::which_file(Worker& worker, const WriteStamp& stamp,
                            std::function<void(std::optional<std::size_t>)> then) {
  const auto file = [](std::uint64_t value) {
    return value == 0 ? std::nullopt : std::optional(static_cast<std::size_t>(value - 1));
  };
  check_generation(shelves_[stamp.lane.file], stamp.lane.file);
  const auto& kept = shelves_[stamp.lane.file].kept;
  const auto at = kept.find(stamp.counter);
  if (at != kept.end()) return then(file(at->second.value));
  WriteStamp look{.owner = stamp.owner, .lane = stamp.lane, .counter = stamp.counter};
  mount_.io(MountNode::Io::kRead, &worker, look,
            [file, then = std::move(then)](const Result& result) {
              then(result.failed ? std::nullopt : file(result.value));
            });
}

void MountFiles::leave_cover(std::size_t file, std::size_t target, std::function<void(bool)> then) {
  const auto cover = mount_.cover(file);
  if (!cover || *cover == target) return then(true);
  mount_.give_up(*cover);
  mount_.pin(*cover, TokenUse::kRead, fs::Urgency::kMayWait,
             [this, file, target, cover, then = std::move(then)](std::optional<TokenMode> mode) {
               if (!mode) return then(false);
               mount_.unpin(*cover);
               leave_cover(file, target, then);
             });
}

void MountFiles::change_pinned(Worker& worker, const WriteStamp& stamp, bool exclusive,
                               const Done& done) {
  std::set<std::size_t> directories{stamp.lane.file};
  if (stamp.kind == WriteStamp::Kind::kRename) directories.insert(stamp.to_file);
  for (const std::size_t directory : directories) {
    ++shelves_[directory].changes;
    ++shelves_[directory].changing;
  }
  mount_.io(MountNode::Io::kWrite, &worker, stamp,
            [this, stamp, exclusive, directories, done](const Result& result) {
              for (const std::size_t directory : directories) {
                ++shelves_[directory].changes;
                --shelves_[directory].changing;
              }
              const bool changed = !result.failed && result.value == 1;
              keep_names(stamp, changed, exclusive && !result.failed);
              if (changed && exclusive && stamp.kind == WriteStamp::Kind::kCreate)
                mount_.created(stamp.lane.file, static_cast<std::size_t>(stamp.value - 1));
              done(result);
            });
}

void MountFiles::keep_names(const WriteStamp& stamp, bool done, bool exclusive) {
  const auto set = [&](std::size_t directory, std::size_t name, std::optional<Cell> cell) {
    Shelf& shelf = shelves_[directory];
    check_generation(shelf, directory);
    if (cell && exclusive && done && shelf.kept_generation != 0) {
      shelf.kept[name] = *cell;
    } else {
      shelf.kept.erase(name);
      shelf.complete = false;
    }
    if (done) shelf.absent_for_ever.erase(name);
  };
  using Kind = WriteStamp::Kind;
  if (stamp.kind != Kind::kRename)
    return set(stamp.lane.file, stamp.counter,
               Cell{stamp.kind == Kind::kCreate ? stamp.value : 0, stamp.serial});
  // Which file had the name is known only if it was kept.
  const auto& from = shelves_[stamp.lane.file].kept;
  const auto had = from.find(stamp.counter);
  std::optional<Cell> moved;
  if (had != from.end()) moved = Cell{had->second.value, stamp.to_serial};
  set(stamp.lane.file, stamp.counter, Cell{0, stamp.serial});
  set(stamp.to_file, stamp.to_cell, moved);
}

}  // namespace holdfast::sim
