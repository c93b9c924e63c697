#include "cli/torture/load.h"

#include "cli/torture/rng.h"

#include <csignal>
#include <cstdio>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sys/wait.h>

namespace holdfast::torture {
namespace {
using std::literals::operator""s;
using std::literals::operator""ms;
using Clock = std::chrono::steady_clock;

constexpr auto kTick = 20ms;
constexpr auto kProgressEvery = 5s;
/// A worker that keeps dying by itself is reported this many times, then its place stays empty.
constexpr unsigned kDeathsMax = 20;

class Crew {
 public:
  Crew(Arena& arena, const Load& load, std::uint64_t seed)
      : arena_(arena), load_(load), rng_(seed), pids_(load.workers, -1) {}

  std::uint64_t run() {
    for (unsigned place = 0; place < load_.workers; ++place)
      start(place);
    const auto begin = Clock::now();
    auto next_kill = begin + pause_before_kill();
    auto next_line = begin + kProgressEvery;
    while (Clock::now() < begin + load_.time && !interrupted()) {
      std::this_thread::sleep_for(kTick);
      reap();
      if (load_.kills && arena_.options().kill_every_ms > 0 && Clock::now() >= next_kill) {
        kill_one();
        next_kill = Clock::now() + pause_before_kill();
      }
      if (Clock::now() >= next_line) {
        line(std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin));
        next_line += kProgressEvery;
      }
    }
    stop();
    return killed_;
  }

 private:
  std::chrono::milliseconds pause_before_kill() {
    const auto mean = std::max(1U, arena_.options().kill_every_ms);
    return std::chrono::milliseconds(mean / 2 + rng_.below(mean));
  }

  void start(unsigned place) {
    const WorkerId id{arena_.next_worker(),
                      load_.dir_of ? load_.dir_of(place) : place % arena_.dir_count()};
    arena_.note_worker(id.number, id.dir);
    pids_[place] = arena_.herd().start([&, id] { return load_.body(id); });
  }

  void reap() {
    for (unsigned place = 0; place < pids_.size(); ++place) {
      if (pids_[place] < 0) continue;
      const pid_t pid = pids_[place];
      const auto status = poll_end(pid);
      if (!status) continue;
      pids_[place] = -1;
      // A mapped wal-index whose mount is gone: nothing but the end is left for the program.
      if (arena_.options().tolerate_remounts && WIFSIGNALED(*status) &&
          WTERMSIG(*status) == SIGBUS) {
        ++arena_.shared().tolerated;
        start(place);
        continue;
      }
      arena_.report({"a worker ended by itself", load_.title,
                     fmt::format("pid {} wait status {:#x}", pid, *status)});
      if (++deaths_ < kDeathsMax) start(place);
    }
  }

  void kill_one() {
    const auto place = static_cast<unsigned>(rng_.below(pids_.size()));
    if (pids_[place] < 0) return;
    const pid_t pid = pids_[place];
    ::kill(pid, SIGKILL);
    ++killed_;
    if (!wait_end(pid, std::chrono::seconds(arena_.options().patience_s)))
      arena_.report({"a killed process does not go away", load_.title, what_is_it_doing(pid)});
    start(place);
  }

  void line(std::chrono::seconds elapsed) {
    progress(fmt::format("{:<22} {:>4}s of {}s  ops {}  busy {}  killed {}  violations {}",
                         load_.title, elapsed.count(),
                         std::chrono::duration_cast<std::chrono::seconds>(load_.time).count(),
                         arena_.shared().ops.load(), arena_.shared().busy.load(), killed_,
                         arena_.shared().violations.load()));
  }

  void stop() {
    arena_.shared().stop = true;
    const auto until = Clock::now() + std::chrono::seconds(arena_.options().patience_s);
    for (auto& pid : pids_) {
      if (pid < 0) continue;
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
      const auto status = wait_end(pid, std::max(left, 1ms));
      if (!status) {
        arena_.report({"a worker is stuck", load_.title, what_is_it_doing(pid)});
        kill_and_wait(pid);
      } else if (*status != 0) {
        arena_.report({"a worker failed", load_.title,
                       fmt::format("pid {} wait status {:#x}", pid, *status)});
      }
      pid = -1;
    }
    arena_.shared().stop = false;
  }

  Arena& arena_;
  const Load& load_;
  Rng rng_;
  std::vector<pid_t> pids_;
  std::uint64_t killed_ = 0;
  unsigned deaths_ = 0;
};
}  // namespace

std::uint64_t run_load(Arena& arena, const Load& load, std::uint64_t seed) {
  return Crew(arena, load, seed).run();
}

void progress(const std::string& text) {
  fmt::print(stderr, "torture: {}\n", text);
  std::fflush(stderr);
}

}  // namespace holdfast::torture
