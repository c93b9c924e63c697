#include "cli/torture/lock_model.h"

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

namespace holdfast::torture {

LockModel::LockModel(int procs) : procs_(kProcsMax), files_(kFiles) {
  for (int i = 0; i < procs; ++i)
    procs_[at(i)].alive = procs_[at(i)].used = true;
}

int LockModel::file_of(int proc, int fd) const {
  const int description = procs_[at(proc)].fds[fd].description;
  return description < 0 ? -1 : descriptions_[at(description)].file;
}

int LockModel::description_of(const Step& step) const {
  return procs_[step.proc].fds[step.fd].description;
}

LockModel::Owner LockModel::owner_of(const Step& step) const {
  return step.ofd ? Owner{true, description_of(step)} : Owner{false, step.proc};
}

std::optional<std::pair<std::int64_t, std::int64_t>> LockModel::span_of(const Step& step) {
  // POSIX fcntl: a negative length covers [start + length, start - 1].
  if (step.start < 0) return std::nullopt;
  if (step.length == 0) return std::pair(step.start, kToEnd);
  if (step.length > 0) return std::pair(step.start, step.start + step.length - 1);
  if (step.start + step.length < 0) return std::nullopt;
  return std::pair(step.start + step.length, step.start - 1);
}

std::vector<LockModel::Range> LockModel::conflicts(const Step& step) const {
  std::vector<Range> out;
  const auto span = span_of(step);
  if (!span || step.type == LockType::kUnlock) return out;
  const auto owner = owner_of(step);
  for (const auto& range : files_[at(file_of(step.proc, step.fd))].ranges)
    if (!(range.owner == owner) && range.first <= span->second && span->first <= range.last &&
        (range.write || step.type == LockType::kWrite))
      out.push_back(range);
  return out;
}

std::vector<int> LockModel::flock_conflicts(const Step& step) const {
  std::vector<int> out;
  if (step.type == LockType::kUnlock) return out;
  const int mine = description_of(step);
  for (const auto& held : files_[at(file_of(step.proc, step.fd))].flocks)
    if (held.description != mine && (held.write || step.type == LockType::kWrite))
      out.push_back(held.description);
  return out;
}

int LockModel::waiter_on(int file, Op op) const {
  for (int proc = 0; proc < kProcsMax; ++proc) {
    const auto& wait = procs_[at(proc)].wait;
    if (wait && wait->op == op && file_of(proc, wait->fd) == file) return proc;
  }
  return -1;
}

LockModel::Cycle LockModel::cycle(const Step& step) const {
  // fs/locks.c, posix_locks_deadlock: only POSIX owners, followed through their waits.
  if (step.ofd) return Cycle::kNo;
  bool sure = true;
  auto blockers = conflicts(step);
  for (int hops = 0; hops < kProcsMax && !blockers.empty(); ++hops) {
    const auto owner = blockers.front().owner;
    if (owner.ofd) return Cycle::kNo;
    if (owner.id == step.proc) return sure ? Cycle::kYes : Cycle::kPerhaps;
    const auto& wait = procs_[at(owner.id)].wait;
    if (!wait || wait->op != Op::kSet || wait->ofd) return Cycle::kNo;
    sure = sure && !procs_[at(owner.id)].looked_again;
    blockers = conflicts(*wait);
  }
  return Cycle::kNo;
}

bool LockModel::set_possible(const Step& step) const {
  const int file = file_of(step.proc, step.fd);
  if (step.type == LockType::kUnlock) return true;
  if (const int waiter = waiter_on(file, step.op); waiter >= 0) {
    // Who comes first when somebody waits already is where Linux and a fair service may differ.
    // What does not depend on it: refused by a holder anyway, a cycle, or far from the wait.
    if (step.op == Op::kFlock) return !step.wait && !flock_conflicts(step).empty();
    if (!conflicts(step).empty()) return !step.wait || cycle(step) == Cycle::kYes;
    const auto mine = span_of(step);
    const auto other = span_of(*procs_[at(waiter)].wait);
    return !mine || mine->second < other->first || other->second < mine->first;
  }
  if (!step.wait) return true;
  if (step.op == Op::kFlock) return flock_conflicts(step).size() <= 1;
  // Linux looks for a cycle through the first conflicting lock only: more than one owner is luck.
  const auto rivals = conflicts(step);
  if (cycle(step) == Cycle::kPerhaps) return false;
  return std::all_of(rivals.begin(), rivals.end(),
                     [&](const Range& range) { return range.owner == rivals.front().owner; });
}

bool LockModel::possible(const Step& step) const {
  const auto& proc = procs_[step.proc];
  if (!proc.alive) return false;
  if (step.op == Op::kKill) return true;
  if (step.op == Op::kSignal) return proc.wait.has_value();
  if (proc.wait) return false;
  const bool is_open = proc.fds[step.fd].description >= 0;
  switch (step.op) {
    case Op::kOpen:
      return !is_open;
    case Op::kClose:
    case Op::kGet:
      return is_open;
    case Op::kDup:
      return is_open && proc.fds[step.fd2].description < 0;
    case Op::kSet:
    case Op::kFlock:
      return is_open && set_possible(step);
    case Op::kFork:
      // A number is used once: a process that ended is not mistaken for a new one.
      return step.proc2 < kProcsMax && !procs_[step.proc2].used;
    case Op::kExec:
    case Op::kExit:
    case Op::kKill:
    case Op::kSignal:
      return true;
  }
  return false;
}

void LockModel::erase(File& file, const Owner& owner, std::int64_t first, std::int64_t last) {
  std::vector<Range> kept;
  for (const auto& range : file.ranges) {
    if (!(range.owner == owner) || range.last < first || range.first > last) {
      kept.push_back(range);
      continue;
    }
    if (range.first < first) {
      kept.push_back(range);
      kept.back().last = first - 1;
    }
    if (range.last > last) {
      kept.push_back(range);
      kept.back().first = last + 1;
    }
  }
  file.ranges = std::move(kept);
}

void LockModel::put(const Step& step) {
  auto& file = files_[at(file_of(step.proc, step.fd))];
  const auto owner = owner_of(step);
  const auto span = *span_of(step);
  erase(file, owner, span.first, span.second);
  if (step.type == LockType::kUnlock) return;
  Range fresh{owner, span.first, span.second, step.type == LockType::kWrite, step.proc};
  // Touching ranges of one owner and type are one lock.
  for (auto it = file.ranges.begin(); it != file.ranges.end();) {
    const bool touches = it->owner == owner && it->write == fresh.write &&
                         (it->last == kToEnd || it->last + 1 >= fresh.first) &&
                         (fresh.last == kToEnd || fresh.last + 1 >= it->first);
    if (!touches) {
      ++it;
      continue;
    }
    fresh.first = std::min(fresh.first, it->first);
    fresh.last = std::max(fresh.last, it->last);
    it = file.ranges.erase(it);
  }
  file.ranges.push_back(fresh);
}

Expected LockModel::set(const Step& step) {
  const auto mode = descriptions_[at(description_of(step))].mode;
  if (!span_of(step)) return {.error = EINVAL};
  if ((step.type == LockType::kWrite && mode == OpenMode::kRead) ||
      (step.type == LockType::kRead && mode == OpenMode::kWrite))
    return {.error = EBADF};
  if (!conflicts(step).empty()) {
    if (!step.wait) return {.error = EAGAIN};
    if (cycle(step) == Cycle::kYes) return {.error = EDEADLK};
    start_waiting(step);
    return {.blocks = true};
  }
  put(step);
  Expected expected;
  wake(expected, file_of(step.proc, step.fd));
  return expected;
}

Expected LockModel::get(const Step& step) const {
  if (!span_of(step)) return {.error = EINVAL};
  Expected expected;
  for (const auto& range : conflicts(step))
    expected.shown.push_back({range.write ? LockType::kWrite : LockType::kRead, range.first,
                              range.last == kToEnd ? 0 : range.last - range.first + 1,
                              range.owner.ofd ? kHolderOfd : range.pid});
  if (expected.shown.empty()) expected.shown.push_back({});
  return expected;
}

Expected LockModel::flock(const Step& step) {
  const int mine = description_of(step);
  auto& held = files_[at(file_of(step.proc, step.fd))].flocks;
  const bool write = step.type == LockType::kWrite;
  const auto it = std::find_if(held.begin(), held.end(),
                               [&](const Flock& lock) { return lock.description == mine; });
  Expected expected;
  if (it != held.end()) {
    if (step.type != LockType::kUnlock && it->write == write) return expected;
    // flock(2): a conversion gives the old lock up first, also when the new one is refused.
    held.erase(it);
  }
  if (step.type != LockType::kUnlock) {
    if (!flock_conflicts(step).empty()) {
      if (!step.wait) {
        expected.error = EAGAIN;
      } else {
        start_waiting(step);
        expected.blocks = true;
      }
    } else {
      held.push_back({mine, write});
    }
  }
  wake(expected, file_of(step.proc, step.fd));
  return expected;
}

void LockModel::start_waiting(const Step& step) {
  procs_[step.proc].wait = step;
  procs_[step.proc].looked_again = false;
}

void LockModel::close_fd(int proc, int fd) {
  auto& slot = procs_[at(proc)].fds[fd];
  if (slot.description < 0) return;
  auto& description = descriptions_[at(slot.description)];
  auto& file = files_[at(description.file)];
  // Any close of the file by the process drops all its POSIX locks on it.
  erase(file, {false, proc}, 0, kToEnd);
  if (--description.references == 0) {
    erase(file, {true, slot.description}, 0, kToEnd);
    std::erase_if(file.flocks,
                  [&](const Flock& lock) { return lock.description == slot.description; });
  }
  slot = {};
}

void LockModel::end_proc(int proc) {
  procs_[at(proc)].wait.reset();
  for (int fd = 0; fd < kFdsMax; ++fd)
    close_fd(proc, fd);
  procs_[at(proc)].alive = false;
}

void LockModel::wake(Expected& expected, int file) {
  // At most one waiter per file and space (see `possible`): the order among them is of no matter.
  for (int proc = 0; proc < kProcsMax; ++proc) {
    auto& wait = procs_[at(proc)].wait;
    if (!wait) continue;
    const Step step = *wait;
    const bool blocked =
        step.op == Op::kFlock ? !flock_conflicts(step).empty() : !conflicts(step).empty();
    if (blocked) {
      if (file < 0 || file == file_of(proc, step.fd)) procs_[at(proc)].looked_again = true;
      continue;
    }
    wait.reset();
    if (step.op == Op::kFlock)
      files_[at(file_of(proc, step.fd))].flocks.push_back(
          {description_of(step), step.type == LockType::kWrite});
    else
      put(step);
    expected.wakes.push_back(proc);
  }
}

Expected LockModel::apply(const Step& step) {
  auto& proc = procs_[step.proc];
  Expected expected;
  switch (step.op) {
    case Op::kOpen:
      descriptions_.push_back({step.file, step.mode, 1});
      proc.fds[step.fd] = {static_cast<int>(descriptions_.size()) - 1, step.close_on_exec};
      return expected;
    case Op::kDup:
      proc.fds[step.fd2] = {description_of(step), false};
      ++descriptions_[at(description_of(step))].references;
      return expected;
    case Op::kSet:
      return set(step);
    case Op::kGet:
      return get(step);
    case Op::kFlock:
      return flock(step);
    case Op::kFork: {
      auto& child = procs_[step.proc2];
      child = proc;
      for (const auto& fd : child.fds)
        if (fd.description >= 0) ++descriptions_[at(fd.description)].references;
      return expected;
    }
    case Op::kSignal:
      expected.interrupts = !step.restart;
      if (expected.interrupts) proc.wait.reset();
      proc.looked_again = true;
      return expected;
    case Op::kClose:
      close_fd(step.proc, step.fd);
      break;
    case Op::kExec:
      for (int fd = 0; fd < kFdsMax; ++fd)
        if (proc.fds[fd].close_on_exec) close_fd(step.proc, fd);
      break;
    case Op::kExit:
    case Op::kKill:
      end_proc(step.proc);
      break;
  }
  wake(expected);
  return expected;
}

std::string describe(const LockInfo& info) {
  if (info.type == LockType::kUnlock) return "no conflict";
  return fmt::format("{} [{}, +{}) of {}", info.type == LockType::kWrite ? "write" : "read",
                     info.start, info.length,
                     info.holder == kHolderOfd       ? "a description"
                     : info.holder == kHolderUnknown ? "an unknown process"
                                                     : fmt::format("P{}", info.holder));
}

std::string describe(const Step& step) {
  const char* types[] = {"read", "write", "unlock"};
  const auto* type = types[static_cast<int>(step.type)];
  switch (step.op) {
    case Op::kOpen: {
      const char* modes[] = {"O_RDONLY", "O_WRONLY", "O_RDWR"};
      return fmt::format("P{}: d{} = open(file{}, {}{})", step.proc, step.fd, step.file,
                         modes[static_cast<int>(step.mode)],
                         step.close_on_exec ? " | O_CLOEXEC" : "");
    }
    case Op::kClose:
      return fmt::format("P{}: close(d{})", step.proc, step.fd);
    case Op::kDup:
      return fmt::format("P{}: d{} = dup(d{})", step.proc, step.fd2, step.fd);
    case Op::kSet:
      return fmt::format("P{}: fcntl(d{}, F_{}SETLK{}, {}, start {}, len {})", step.proc, step.fd,
                         step.ofd ? "OFD_" : "", step.wait ? "W" : "", type, step.start,
                         step.length);
    case Op::kGet:
      return fmt::format("P{}: fcntl(d{}, F_{}GETLK, {}, start {}, len {})", step.proc, step.fd,
                         step.ofd ? "OFD_" : "", type, step.start, step.length);
    case Op::kFlock:
      return fmt::format("P{}: flock(d{}, {}{})", step.proc, step.fd, type,
                         step.wait ? "" : " | LOCK_NB");
    case Op::kFork:
      return fmt::format("P{}: fork() = P{}", step.proc, step.proc2);
    case Op::kExec:
      return fmt::format("P{}: exec", step.proc);
    case Op::kExit:
      return fmt::format("P{}: exit", step.proc);
    case Op::kKill:
      return fmt::format("kill(P{}, SIGKILL)", step.proc);
    case Op::kSignal:
      return fmt::format("kill(P{}, {})", step.proc,
                         step.restart ? "SIGUSR2), handled with SA_RESTART"
                                      : "SIGUSR1), handled without SA_RESTART");
  }
  return "?";
}

}  // namespace holdfast::torture
