#pragma once
/// A sequential model of Linux fs/locks.c, fork, exec, dup and close: small, slow, obvious.
///
/// Pure. It says what each step of a program must answer, so that programs can be generated whose
/// answers do not depend on the order in which waiters are served.

#include "cli/torture/lock_step.h"

#include <optional>
#include <vector>

namespace holdfast::torture {

class LockModel {
 public:
  /// `procs` processes live at the start, numbered from 0.
  explicit LockModel(int procs);

  /// Takes the step. `step` must be possible (see `possible`).
  Expected apply(const Step& step);
  /// True if the step makes sense now (process alive and not waiting, descriptor open, …) and its
  /// outcome is one that Linux and a fair lock service share. Not fixed by any standard, and so
  /// refused: asking for a lock where another already waits, waiting for more than one holder.
  [[nodiscard]] bool possible(const Step& step) const;

  [[nodiscard]] bool alive(int proc) const { return procs_[at(proc)].alive; }
  [[nodiscard]] bool waiting(int proc) const { return procs_[at(proc)].wait.has_value(); }
  [[nodiscard]] int file_of(int proc, int fd) const;  ///< -1 = not open

 private:
  struct Owner {
    bool ofd;
    int id;  ///< process, or description
    friend bool operator==(const Owner&, const Owner&) = default;
  };
  struct Range {
    Owner owner;
    std::int64_t first;
    std::int64_t last;  ///< inclusive
    bool write;
    int pid;  ///< process that made it, for F_GETLK
  };
  struct Flock {
    int description;
    bool write;
  };
  struct File {
    std::vector<Range> ranges;
    std::vector<Flock> flocks;
  };
  struct Description {
    int file;
    OpenMode mode;
    int references;
  };
  struct Descriptor {
    int description = -1;
    bool close_on_exec = false;
  };
  struct Proc {
    bool alive = false;
    bool used = false;  ///< a number is used once
    Descriptor fds[kFdsMax];
    std::optional<Step> wait;
    /// The kernel had the waiter look again meanwhile. While it does, others do not see it wait: a
    /// cycle closed in that moment is found by it, not by the one who closed it.
    bool looked_again = false;
  };

  static std::size_t at(int index) { return static_cast<std::size_t>(index); }
  [[nodiscard]] int description_of(const Step& step) const;
  [[nodiscard]] Owner owner_of(const Step& step) const;
  /// The range of a step as [first, last], or nothing (EINVAL).
  [[nodiscard]] static std::optional<std::pair<std::int64_t, std::int64_t>> span_of(
      const Step& step);
  [[nodiscard]] std::vector<Range> conflicts(const Step& step) const;
  [[nodiscard]] std::vector<int> flock_conflicts(const Step& step) const;
  [[nodiscard]] int waiter_on(int file, Op op) const;  ///< -1 = none
  enum class Cycle { kNo, kYes, kPerhaps };
  [[nodiscard]] Cycle cycle(const Step& step) const;
  [[nodiscard]] bool set_possible(const Step& step) const;

  Expected set(const Step& step);
  Expected get(const Step& step) const;
  Expected flock(const Step& step);
  void put(const Step& step);
  void start_waiting(const Step& step);
  void erase(File& file, const Owner& owner, std::int64_t first, std::int64_t last);
  void close_fd(int proc, int fd);
  void end_proc(int proc);
  /// `file` changed, or any of them (-1).
  void wake(Expected& expected, int file = -1);

  std::vector<Proc> procs_;
  std::vector<Description> descriptions_;
  std::vector<File> files_;
};

}  // namespace holdfast::torture
