#pragma once
/// Between the applications of a mount and the storage, when tokens are on: what the kernel,
/// fs/cache and fs/io keep and do, as far as the rules of tokens go.
///
///   pages    a cell that was read or written is kept by the kernel, and read again without asking
///            anybody, until it is dropped: at open and at a grant of a lock if it was not loaded
///            under the token of now; when the token goes down. A READ that is under way when pages
///            are dropped leaves none; dropping waits for it (its page is locked)
///   kept     attributes of a file, names and absent names of a directory: good for one generation
///            of the token
///   dirty    what was written under EX, and what was written through and is not committed
///
/// WRITEs of a file come one after the other, changes of a directory too (the kernel's inode lock).

#include "tests/sim/mount_node.h"

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

namespace holdfast::sim {

class MountFiles {
 public:
  using Result = MountNode::IoResult;
  using Done = MountNode::IoDone;

  MountFiles(World& world, const Scenario& scenario, MountNode& mount, Freshness& freshness);

  // ---- Operations of applications
  /// open(2), or a lock was granted: pages of another generation are void.
  void renew(std::size_t file);
  void read(Worker& worker, Lane lane, std::size_t cell, bool opened, Done done);
  void write(Worker& worker, Lane lane, std::size_t cell, std::uint64_t value, std::uint64_t serial,
             Done done);
  /// stat(2), or readdir(3): the row.
  void look(Worker& worker, std::size_t file, Done done);
  void look_up(Worker& worker, std::size_t directory, std::size_t name, Done done);
  /// Creates, removes or renames, as `stamp` says. `value` of the result: 1 = done, 0 = refused.
  void change(Worker& worker, WriteStamp stamp, Done done);
  /// fsync(2), with everything that was written up to now. false: what a restarted storage has lost
  /// cannot be sent again, as there is no token.
  using Synced = std::function<void(bool stable)>;
  void sync(std::size_t file, Synced done);
  /// The kernel forgets the inode, if nobody uses it.
  void forget(std::size_t file);
  [[nodiscard]] bool all_clean() const;
  /// Must be on stable storage before a lock that protects it goes: nothing else would flush it.
  [[nodiscard]] bool must_sync(std::size_t file) const;
  [[nodiscard]] bool has_unwritten(std::size_t file, OwnerId owner) const;
  /// Written under a token that lets nobody else write, and not known to be stable.
  [[nodiscard]] bool unstable_under_token(std::size_t file) const;
  [[nodiscard]] bool is_dirty(std::size_t file) const { return !shelves_[file].dirty.empty(); }
  [[nodiscard]] OwnerId last_writer(std::size_t file) const { return shelves_[file].last_writer; }

  // ---- Tokens
  void drain(std::size_t file, const fs::Drain& drain);
  /// The token is lost, with what was kept. What was written through is the storage's, and stays.
  void lost(std::size_t file);
  /// What was written and is not known to be stable is lost.
  void discard(std::size_t file);

 private:
  struct Page {
    Cell cell;
    std::uint64_t generation = 0;
  };
  /// Of a READ or a WRITE, from before it waits for its token until it has ended.
  struct Locked {
    std::uint64_t generation = 0;
    bool leaves_page = true;
  };
  struct Dirty {
    Cell cell;
    OwnerId owner;
    Lane lane;
    std::uint64_t sequence = 0;
    std::vector<std::uint64_t> covers;  // serials of what this overwrote before it was stable
    std::uint64_t since = 0;  // of the oldest write to this cell that is not on stable storage
    bool written = false;     // the storage has it, not committed
    std::uint64_t verifier = 0;
  };
  struct Sent {
    std::size_t cell = 0;
    std::uint64_t sequence = 0;
    std::vector<std::uint64_t> serials;
    std::uint64_t verifier = 0;
  };
  struct Flush {
    std::uint64_t upto = 0;
    Synced done;
  };
  /// One after the other.
  struct Turns {
    bool busy = false;
    std::deque<std::function<void()>> next;
  };
  struct Shelf {
    std::map<std::size_t, Page> pages;
    std::map<std::uint64_t, Locked> locked;
    std::function<void()> when_unlocked;  // one of them is over: of the round that is drained
    std::set<std::uint64_t> dropping;     // what a drop waits for that has only begun
    bool drop_begun = false;
    std::vector<std::function<void()>> after_drop;
    std::uint64_t kept_generation = 0;
    std::map<std::size_t, Cell> kept;
    bool complete = false;
    std::map<std::size_t, Cell> absent_for_ever;  // a planted mistake
    std::uint64_t changes = 0;
    unsigned changing = 0;
    std::map<std::size_t, Dirty> dirty;
    bool written_alone = false;  // the last write was under EX
    OwnerId last_writer;
    std::uint64_t last_sequence = 0;
    std::deque<Flush> flushes;
    bool flushing = false;
    bool flush_due = false;
    Turns inode;    // around a WRITE or a change of names, waiting for its token included
    Turns storage;  // around what is written to the storage
    std::uint64_t drain_round = 0;
    std::uint64_t life = 0;  // another one after a loss
  };

  void enter(Turns& turns, std::function<void()> then);
  void leave(Turns& turns);
  [[nodiscard]] std::uint64_t lock_page(std::size_t file);
  /// Does it leave a page?
  bool unlock_page(std::size_t file, std::uint64_t id);
  void begin_drop(std::size_t file);
  void look_at_drop(std::size_t file);
  void read_pinned(Worker& worker, Lane lane, std::size_t cell, bool opened, std::uint64_t id,
                   const Done& done);
  void write_pinned(Worker& worker, TokenMode mode, const WriteStamp& stamp, std::uint64_t id,
                    const Done& done);
  void write_through(Worker& worker, const WriteStamp& stamp,
                     const std::function<void(const Result&)>& then);
  void change_of_two(Worker& worker, const WriteStamp& stamp, std::size_t first, std::size_t second,
                     const Done& done);
  /// T8: `file` is to get a name in `target`.
  void leave_cover(std::size_t file, std::size_t target, std::function<void(bool)> then);
  void which_file(Worker& worker, const WriteStamp& stamp,
                  std::function<void(std::optional<std::size_t>)> then);
  void change_pinned(Worker& worker, const WriteStamp& stamp, bool exclusive, const Done& done);
  void look_pinned(Worker& worker, std::size_t file, const Done& done);
  void keep_names(const WriteStamp& stamp, bool done, bool exclusive);
  void check_generation(Shelf& shelf, std::size_t file) const;
  /// What only this mount has yet.
  static void lay_over(const Shelf& shelf, Row& row);
  void put_dirty(std::size_t file, std::size_t cell, Dirty dirty);
  void flush_next(std::size_t file);
  void sync_later(std::size_t file);
  void write_out(std::size_t file);
  void send(const WriteStamp& stamp, const std::function<void(const Result&)>& then);
  void not_stable(std::size_t file);
  void commit(std::size_t file, const std::vector<Sent>& sent);
  void flushed(std::size_t file);
  void drop(std::size_t file, std::uint64_t round, fs::DropPages pages);
  void drop_when_unlocked(std::size_t file, std::uint64_t round,
                          const std::set<std::uint64_t>& locked);
  void later(Duration at_most, std::function<void()> then);

  World& world_;
  const Scenario& scenario_;
  MountNode& mount_;
  Freshness& freshness_;
  std::vector<Shelf> shelves_;
  std::uint64_t last_page_ = 0;
};

}  // namespace holdfast::sim
