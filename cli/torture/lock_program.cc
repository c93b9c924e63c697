#include "cli/torture/lock_program.h"

#include "cli/torture/lock_model.h"
#include "cli/torture/rng.h"

namespace holdfast::torture {
namespace {

constexpr int kProcsAtStart = 3;
/// Draws before a program counts as finished: nearly all processes may be dead or waiting.
constexpr int kDrawsMax = 2000;

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : rng_(seed), model_(kProcsAtStart) {
    program_.procs = kProcsAtStart;
  }

  Program make(std::size_t steps_max) {
    if (rng_.one_in(3)) deadlock_opening(2 + static_cast<int>(rng_.below(2)));
    for (int draws = 0; program_.steps.size() < steps_max && draws < kDrawsMax; ++draws) {
      const auto step = draw();
      if (model_.possible(step)) add(step);
    }
    return std::move(program_);
  }

 private:
  void add(const Step& step) { program_.steps.push_back({step, model_.apply(step)}); }

  /// Each of `procs` processes locks its file, then waits for the next one's: a ring. Chance alone
  /// makes rings too seldom.
  void deadlock_opening(int procs) {
    const auto proc_number = [](int i) { return static_cast<std::uint8_t>(i); };
    for (int i = 0; i < procs; ++i) {
      add({.op = Op::kOpen, .proc = proc_number(i), .fd = 0, .file = proc_number(i)});
      add({.op = Op::kOpen, .proc = proc_number(i), .fd = 1, .file = proc_number((i + 1) % procs)});
      // Opening does not drop locks; closing would.
      add({.op = Op::kSet,
           .proc = proc_number(i),
           .fd = 0,
           .type = LockType::kWrite,
           .start = 2,
           .length = 4});
    }
    for (int i = 0; i < procs; ++i)
      add({.op = Op::kSet,
           .proc = proc_number(i),
           .fd = 1,
           .type = LockType::kWrite,
           .wait = true,
           .start = 4,
           .length = 1});
  }

  Op draw_op() {
    static constexpr Op kWeighted[] = {
        Op::kOpen,  Op::kOpen,  Op::kOpen,  Op::kOpen,   Op::kClose,  Op::kClose, Op::kDup,
        Op::kSet,   Op::kSet,   Op::kSet,   Op::kSet,    Op::kSet,    Op::kSet,   Op::kSet,
        Op::kSet,   Op::kSet,   Op::kSet,   Op::kSet,    Op::kSet,    Op::kSet,   Op::kSet,
        Op::kGet,   Op::kGet,   Op::kGet,   Op::kGet,    Op::kGet,    Op::kFlock, Op::kFlock,
        Op::kFlock, Op::kFlock, Op::kFlock, Op::kSignal, Op::kSignal, Op::kSignal};
    // The end of a process takes a lot away: seldom.
    if (rng_.one_in(25)) return Op::kFork;
    if (rng_.one_in(40)) return Op::kExec;
    if (rng_.one_in(60)) return Op::kExit;
    if (rng_.one_in(60)) return Op::kKill;
    return kWeighted[rng_.below(std::size(kWeighted))];
  }

  Step draw() {
    Step step;
    step.op = draw_op();
    step.proc = static_cast<std::uint8_t>(rng_.below(kProcsMax));
    step.proc2 = static_cast<std::uint8_t>(rng_.below(kProcsMax));
    step.fd = static_cast<std::uint8_t>(rng_.below(kFdsMax));
    step.fd2 = static_cast<std::uint8_t>(rng_.below(kFdsMax));
    step.file = static_cast<std::uint8_t>(rng_.one_in(2) ? 0 : rng_.below(kFiles));
    step.mode =
        rng_.one_in(8) ? (rng_.one_in(2) ? OpenMode::kRead : OpenMode::kWrite) : OpenMode::kBoth;
    const auto type = rng_.below(8);
    step.type = type < 3 ? LockType::kWrite : type < 6 ? LockType::kRead : LockType::kUnlock;
    if (step.op == Op::kGet && step.type == LockType::kUnlock) step.type = LockType::kWrite;
    step.ofd = rng_.one_in(3);
    // Drawn for every step, so that a seed keeps its program; meant for these two only.
    const bool may_wait = step.op == Op::kSet || step.op == Op::kFlock;
    step.wait = rng_.one_in(3) && may_wait && step.type != LockType::kUnlock;
    step.close_on_exec = rng_.one_in(2);
    step.restart = rng_.one_in(2);
    step.start = static_cast<std::int64_t>(rng_.below(12));
    step.length = 1 + static_cast<std::int64_t>(rng_.below(5));
    if (rng_.one_in(10)) step.length = 0;
    if (rng_.one_in(12)) step.length = -step.length;
    if (rng_.one_in(20)) step.start += std::int64_t{1} << 62;
    return step;
  }

  Rng rng_;
  LockModel model_;
  Program program_;
};
}  // namespace

Program make_program(std::uint64_t seed, std::size_t steps_max) {
  return Generator(seed).make(steps_max);
}

}  // namespace holdfast::torture
