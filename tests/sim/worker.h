#pragma once
/// An application on a mount: takes locks in the ways applications do, and increments counters
/// under them. One process, one thread: one operation after the other.

#include "tests/sim/judge.h"
#include "tests/sim/mount_node.h"

#include <string>
#include <vector>

namespace holdfast::sim {

class Worker {
 public:
  Worker(World& world, const Scenario& scenario, MountNode& mount, Judge& judge, std::size_t index);

  void start();
  void signal();
  void kill();
  /// Stops after the operation under way.
  void finish() { finishing_ = true; }
  /// Once stopped: takes a lock, perhaps, and keeps it.
  void hold();
  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] std::uint64_t done() const { return done_; }
  void count_from_here() { done_ = 0; }
  [[nodiscard]] std::string state() const;
  [[nodiscard]] OwnerId owner() const { return owner_; }

  // ---- Told by the mount
  /// The answer of the call under way is known.
  void believe(const Outcome& outcome);
  /// A lock on it, or one that is about to be given back.
  [[nodiscard]] bool holds(std::size_t file) const;
  void poison(std::size_t file);
  /// A lock was granted: what the kernel keeps of the file may be void.
  void renew_pages(const Outcome& outcome);
  /// Since it was opened, without an fsync after it.
  [[nodiscard]] bool has_written(std::size_t file) const { return written_[file]; }
  /// In the operation under way.
  [[nodiscard]] bool uses(std::size_t file) const;
  [[nodiscard]] bool poisoned(std::size_t file) const { return poisoned_[file]; }

 private:
  enum class Do {
    kLock,
    kUnlock,
    kReleaseOwner,
    kReleaseHandle,
    kQuery,
    kRead,
    kReadAgain,
    kWrite,
    kRewrite,
    kCommit,
    kThink,
    // With tokens: what needs no lock. worker_files.cc
    kOpenAndRead,
    kReadOn,  ///< through a handle that is open since long
    kFreeWrite,
    kSync,
    kStat,
    kLookUp,
    kList,
    kCreate,
    kRemove,
    kRename,
    kForget,
  };
  struct Step {
    Do what = Do::kThink;
    Lane lane;
    ByteRange range = ByteRange::whole_file();
    LockMode mode = LockMode::kShared;
    Wait wait = Wait::kYes;
    std::size_t cell = 0;  ///< or name
    std::size_t to_directory = 0;
    std::size_t to_name = 0;
  };

  void next_operation();
  void plan();
  void plan_increment(Lane lane, ByteRange range, LockMode mode, Wait wait);
  void plan_reader(Lane lane, ByteRange range);
  void plan_upgrade(Lane lane, ByteRange range);
  void plan_nested();
  void plan_end(Lane lane, ByteRange range);
  void add(Do what, Lane lane, ByteRange range, LockMode mode = LockMode::kShared,
           Wait wait = Wait::kYes);
  void run();
  void run_lock(const Step& step);
  void submit(Command command);
  void completed(const Outcome& outcome);
  void run_io(const Step& step);
  void io_done(const Step& step, MountNode::IoResult result);
  void advance();
  // worker_files.cc
  void plan_files();
  void add_file(Do what, std::size_t file, std::size_t cell);
  void run_file(const Step& step);
  void run_change(const Step& step);
  void read_kept(const Step& step, std::size_t cell, bool opened);
  void write_kept(const Step& step, std::size_t cell, std::uint64_t value);
  void sync_kept(const Step& step);
  void look(const Step& step);
  void look_up(const Step& step);
  void send(Command command);
  [[nodiscard]] bool weakens(const Command& command) const;
  [[nodiscard]] std::size_t some_file();
  void fail(const char* why);
  void clean_up();
  void set_alarm(bool lingers);
  [[nodiscard]] ByteRange some_range();
  [[nodiscard]] std::size_t counter_of(const Step& step) const;
  [[nodiscard]] OwnerKind kind() const {
    return index_ % 2 == 0 ? OwnerKind::kPosix : OwnerKind::kUnchecked;
  }

  World& world_;
  const Scenario& scenario_;
  MountNode& mount_;
  Judge& judge_;
  std::size_t index_;
  OwnerId owner_;
  std::vector<HandleId> handles_;
  std::vector<bool> poisoned_;
  std::vector<bool> touched_;
  std::vector<bool> written_;
  std::optional<std::size_t> made_;  // the file that was created or looked up

  std::vector<Step> script_;
  std::size_t at_ = 0;
  bool cleaning_ = false;
  bool killed_ = false;
  bool finishing_ = false;
  bool finished_ = false;
  bool failed_ = false;
  std::uint64_t done_ = 0;

  std::optional<std::size_t>
      releasing_;  // the file whose lock goes when what it protects is stable
  std::optional<Command> pending_;
  Cells before_;  // of the lane that the pending lock call is about
  CallId call_{};
  std::uint64_t calls_made_ = 0;
  std::uint64_t value_ = 0;
  std::uint64_t read_verifier_ = 0;
  std::uint64_t write_verifier_ = 0;
};

}  // namespace holdfast::sim
