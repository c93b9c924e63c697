/// Mode semantics: random lock programs, on a local filesystem and on the directories judged.

#include "cli/torture/file_lock.h"
#include "cli/torture/load.h"
#include "cli/torture/lock_stage.h"
#include "cli/torture/modes.h"
#include "cli/torture/rng.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace holdfast::torture {
namespace {
using std::literals::operator""ms;
using std::literals::operator""s;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kStepsMax = 60;
constexpr std::size_t kHistoryShown = 40;
/// A program that went wrong runs again, to say whether it always does.
constexpr int kRepeats = 2;
/// Programs side by side; more would make the machine so slow that waits are guessed wrong.
constexpr unsigned kLanesMax = 4;
/// After the last process ended its locks must be gone within this.
constexpr auto kLeakPatience = 5s;

/// What the program has to say about itself.
std::string story(const Program& program, const Mismatch& mismatch, std::uint64_t number,
                  std::size_t first_view, std::size_t views) {
  std::string out = fmt::format("program {}; process Pn works in directory (n + {}) % {}\n", number,
                                first_view, views);
  const auto begin = mismatch.step > kHistoryShown ? mismatch.step - kHistoryShown : 0;
  if (begin > 0) out += fmt::format("… {} steps before\n", begin);
  for (std::size_t i = begin; i <= mismatch.step; ++i) {
    const auto& [step, expected] = program.steps[i];
    out += fmt::format("{:3} {}", i, describe(step));
    if (expected.blocks) out += "  waits";
    if (expected.error != 0) out += fmt::format("  {}", ::strerrorname_np(expected.error));
    for (const int woken : expected.wakes)
      out += fmt::format("  P{} gets its lock", woken);
    out += '\n';
  }
  return out + fmt::format("expected, as on a local filesystem: {}\ngot: {}", mismatch.expected,
                           mismatch.got);
}

// Places in Shared::scratch.
constexpr std::size_t kProgram = 0;  ///< programs started, by all lanes
constexpr std::size_t kLeftOut = 1;  ///< programs the reference did not answer as the model does

/// One of several processes that run programs side by side: most of a program's time is waiting to
/// see that somebody waits.
class Lane {
 public:
  Lane(Arena& arena, WorkerId id, std::string reference_dir)
      : arena_(arena), id_(id), reference_dir_(std::move(reference_dir)) {
    target_.patience = reference_.patience =
        std::min<std::chrono::milliseconds>(20s, std::chrono::seconds(arena.options().patience_s));
    reference_.strict_holders = true;
    // Processes forked by workers whose parent is gone come to us, to be reaped.
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  }

  int run() {
    while (!arena_.shared().stop)
      if (!one_program(++arena_.shared().scratch[kProgram])) return 1;
    return 0;
  }

 private:
  [[nodiscard]] std::array<std::string, kFiles> names(std::uint64_t generation) const {
    std::array<std::string, kFiles> out;
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = fmt::format("lock-{}-{}-{}", id_.number, generation, i);
    return out;
  }

  /// The files of `generation` as every directory shows them.
  void name_files(std::uint64_t generation) {
    reference_.views.assign(1, names(generation));
    target_.views.assign(arena_.dir_count(), names(generation));
    for (auto& name : reference_.views[0])
      name = reference_dir_ + "/" + name;
    for (std::size_t dir = 0; dir < arena_.dir_count(); ++dir)
      for (auto& name : target_.views[dir])
        name = arena_.path(dir, name);
  }

  /// Fresh files for every run: what one leaves behind must not blur the next. And fresh names:
  /// filesystems without full coherence may show an old file under a name they have seen before.
  bool fresh_files() {
    const auto old_reference = reference_.views;
    const auto old_target = target_.views;
    name_files(++generation_);
    return arena_.run_bounded("creating files", [&] {
      for (const auto* old : {&old_reference, &old_target})
        if (!old->empty())
          for (const auto& path : old->front())
            ::unlink(path.c_str());
      for (const auto* place : {&reference_, &target_})
        for (const auto& path : place->views.front()) {
          const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
          if (!fd) return errno;
        }
      return 0;
    });
  }

  std::optional<Mismatch> run_on(const Place& place, const Program& program, std::size_t view) {
    if (!fresh_files()) return std::nullopt;
    LockStage stage(arena_.herd(), place, view);
    return stage.run(program);
  }

  bool one_program(std::uint64_t number) {
    const auto seed = Rng(arena_.options().seed, number).next();
    const auto program = make_program(seed, kStepsMax);
    const auto view = static_cast<std::size_t>(seed % arena_.dir_count());
    if (const auto odd = run_on(reference_, program, 0)) {
      if (arena_.shared().scratch[kLeftOut]++ == 0)
        progress("the reference is no Linux filesystem? " + story(program, *odd, number, 0, 1));
      return true;
    }
    arena_.shared().ops += program.steps.size();
    if (const auto wrong = run_on(target_, program, view)) {
      int again = 0;
      for (int i = 0; i < kRepeats && !arena_.shared().stop; ++i)
        if (run_on(target_, program, view)) ++again;
      const auto& step = program.steps[wrong->step].step;
      arena_.report({fmt::format("a lock call answered otherwise: {} instead of {}", wrong->got,
                                 wrong->expected),
                     describe(step),
                     story(program, *wrong, number, view, arena_.dir_count()) +
                         fmt::format("\nagain in {} of {} repetitions", again, kRepeats)});
      return true;
    }
    check_leaks(program, number);
    return true;
  }

  /// All processes are gone: every lock must be free, through every directory.
  void check_leaks(const Program& program, std::uint64_t number) {
    for (std::size_t dir = 0; dir < arena_.dir_count(); ++dir)
      (void)arena_.run_bounded("the check for left-over locks", [&] {
        const auto until = Clock::now() + kLeakPatience;
        for (const auto& path : target_.views[dir]) {
          const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
          if (!fd) return errno;
          for (const auto kind : {LockKind::kPosix, LockKind::kFlock})
            while (lock(fd.get(), kind, Access::kExclusive, Wait::kNo, 0, 0) != 0) {
              if (Clock::now() > until) {
                arena_.report({fmt::format("a {} lock outlived all its processes", name_of(kind)),
                               path,
                               story(program, {program.steps.size() - 1, "no lock left", "a lock"},
                                     number, 0, arena_.dir_count())});
                return 0;
              }
              std::this_thread::sleep_for(10ms);
            }
        }
        return 0;
      });
  }

  Arena& arena_;
  WorkerId id_;
  std::string reference_dir_;
  Place reference_;
  Place target_;
  std::uint64_t generation_ = 0;
};

std::string make_reference(const Arena& arena) {
  const auto& given = arena.options().reference;
  auto text = (given.empty() ? arena.local_dir() : given) + "/reference-XXXXXX";
  if (::mkdtemp(text.data()) == nullptr)
    throw SetupError(fmt::format("{}: {}", text, ::strerror(errno)));
  return text;
}
}  // namespace

ModeResult run_semantics(Arena& arena, std::chrono::milliseconds time) {
  ModeResult result;
  const auto reference = make_reference(arena);
  Load load{.title = "semantics",
            .time = time,
            .workers = std::min(arena.options().workers, kLanesMax),
            .kills = false,
            .body = {}};
  load.body = [&](WorkerId id) { return Lane(arena, id, reference).run(); };
  (void)run_load(arena, load, arena.options().seed);
  std::error_code ignored;
  std::filesystem::remove_all(reference, ignored);
  const auto& shared = arena.shared();
  result.notes.push_back(fmt::format(
      "{} programs compared with {}", shared.scratch[kProgram] - shared.scratch[kLeftOut],
      arena.options().reference.empty() ? "a local directory" : arena.options().reference));
  if (const auto count = shared.scratch[kLeftOut].load(); count > 0)
    result.notes.push_back(fmt::format(
        "{} programs left out: the reference did not behave as Linux filesystems do", count));
  return result;
}

}  // namespace holdfast::torture
