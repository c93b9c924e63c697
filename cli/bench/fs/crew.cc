#include "cli/bench/fs/crew.h"

#include "cli/bench/own_lockd.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <thread>

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::bench::fs {
namespace {

using Clock = std::chrono::steady_clock;  // one for all processes of the machine

constexpr std::size_t kWorkersMax = 8;
constexpr std::chrono::microseconds kPoll{200};
/// Nobody has ended an operation for so long: something hangs.
constexpr std::chrono::seconds kPatience{180};

volatile std::sig_atomic_t interrupted = 0;

}  // namespace

struct CrewSlot {
  std::atomic<unsigned> ready = 0;  ///< phases it stood before
  std::atomic<unsigned> done = 0;   ///< phases it has ended
  std::atomic<std::uint64_t> operations = 0;
  Clock::time_point began;
  Clock::time_point ended;
  Latencies latencies;
  std::array<char, 1024> error{};
  std::array<char, 256> note{};
};

struct CrewBoard {
  std::atomic<unsigned> go = 0;    ///< phases that may begin
  std::atomic<unsigned> seen = 0;  ///< phases whose results were taken
  std::chrono::nanoseconds time{0};
  std::array<CrewSlot, kWorkersMax> slots;
};

namespace {

struct Unmap {
  void operator()(CrewBoard* board) const { ::munmap(board, sizeof(CrewBoard)); }
};

std::unique_ptr<CrewBoard, Unmap> make_board() {
  void* const at =
      ::mmap(nullptr, sizeof(CrewBoard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) throw SetupError(fmt::format("no memory: {}", std::strerror(errno)));
  return std::unique_ptr<CrewBoard, Unmap>(::new (at) CrewBoard);
}

template <std::size_t N>
void put(std::array<char, N>& into, const std::string& text) {
  std::copy_n(text.begin(), std::min(text.size(), N - 1), into.begin());
}

class Crew {
 public:
  Crew(const CrewOrder& order, const std::function<void(Worker&)>& body)
      : order_(order), board_(make_board()) {
    board_->time = order.time;
    for (std::size_t i = 0; i < order.workers; ++i)
      start(i, body);
  }
  ~Crew() {
    for (const pid_t pid : pids_)
      ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_)
      ::waitpid(pid, nullptr, 0);
  }
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  CrewOutcome run() {
    CrewOutcome out;
    for (unsigned i = 1;
         i <= order_.phases && wait([&](const CrewSlot& s) { return s.ready == i; }); ++i) {
      const auto before = order_.counts ? order_.counts() : std::nullopt;
      board_->go = i;
      if (!wait([&](const CrewSlot& s) { return s.done == i; })) break;
      const auto after = order_.counts ? order_.counts() : std::nullopt;
      out.phases.push_back(take(before, after));
      board_->seen = i;
    }
    if (error_.empty()) (void)wait([](const CrewSlot&) { return false; });
    out.error = error_;
    for (std::size_t i = 0; i < order_.workers && out.note.empty(); ++i)
      out.note = board_->slots[i].note.data();
    return out;
  }

 private:
  void start(std::size_t index, const std::function<void(Worker&)>& body) {
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) throw SetupError(fmt::format("cannot fork: {}", std::strerror(errno)));
    if (pid != 0) {
      pids_.push_back(pid);
      return;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);  // it died before the line above
    ::signal(SIGINT, SIG_IGN);              // the parent ends us
    int code = 0;
    try {
      Worker worker(*board_, index);
      body(worker);
    } catch (const std::exception& error) {
      put(board_->slots[index].error, error.what());
      code = 1;
    }
    ::_exit(code);  // no destructor of the parent's objects
  }

  /// Until it holds for all who live, or all have ended. False: somebody failed.
  bool wait(const std::function<bool(const CrewSlot&)>& holds) {
    auto moved = Clock::now();
    std::uint64_t last = 0;
    for (;;) {
      if (interrupted != 0) throw Interrupted("interrupted");
      const bool alive = reap();
      if (!error_.empty()) return false;
      const auto begin = board_->slots.begin();
      const auto end = begin + static_cast<std::ptrdiff_t>(order_.workers);
      if (!alive || std::all_of(begin, end, holds)) return alive;
      std::uint64_t sum = 0;
      std::for_each(begin, end, [&](const CrewSlot& slot) { sum += slot.operations; });
      if (std::exchange(last, sum) != sum) moved = Clock::now();
      if (Clock::now() - moved > kPatience) {
        error_ = fmt::format("nothing has moved for {} s: does the file system hang?",
                             kPatience.count());
        return false;
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  /// Whether any process lives.
  bool reap() {
    for (std::size_t i = 0; i < pids_.size();) {
      int status = 0;
      if (::waitpid(pids_[i], &status, WNOHANG) == 0) {
        ++i;
        continue;
      }
      pids_.erase(pids_.begin() + static_cast<std::ptrdiff_t>(i));
      if (!error_.empty() || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) continue;
      for (std::size_t k = 0; k < order_.workers && error_.empty(); ++k)
        error_ = board_->slots[k].error.data();
      if (error_.empty()) error_ = fmt::format("a process died, wait status {:#x}", status);
    }
    return !pids_.empty();
  }

  Phase take(const std::optional<Counts>& before, const std::optional<Counts>& after) {
    Phase phase;
    auto first = Clock::time_point::max();
    auto last = Clock::time_point::min();
    for (std::size_t i = 0; i < order_.workers; ++i) {
      CrewSlot& slot = board_->slots[i];
      const std::chrono::duration<double> time = slot.ended - slot.began;
      phase.workers.push_back({slot.latencies, time.count()});
      first = std::min(first, slot.began);
      last = std::max(last, slot.ended);
      slot.latencies = Latencies();
    }
    phase.seconds = std::chrono::duration<double>(last - first).count();
    if (before && after) phase.calls = difference(*after, *before);
    return phase;
  }

  const CrewOrder& order_;
  std::unique_ptr<CrewBoard, Unmap> board_;
  std::vector<pid_t> pids_;
  std::string error_;
};

void wait_for(const std::atomic<unsigned>& value, unsigned wanted) {
  while (value.load() < wanted)
    std::this_thread::sleep_for(kPoll);
}

}  // namespace

void Worker::measure(std::uint64_t count, const std::function<void()>& operation,
                     const std::function<void()>& at_end) {
  CrewSlot& slot = board_.slots[index_];
  slot.ready = ++phase_;
  wait_for(board_.go, phase_);
  slot.began = Clock::now();
  const auto until = slot.began + board_.time;
  auto now = slot.began;
  const std::uint64_t times = count == 0 ? std::numeric_limits<std::uint64_t>::max() : count;
  for (std::uint64_t i = 0; i < times && (count != 0 || now < until); ++i) {
    operation();
    const auto then = std::exchange(now, Clock::now());
    slot.latencies.add(now - then);
    slot.operations.fetch_add(1, std::memory_order_relaxed);
  }
  slot.ended = now;
  if (at_end) at_end();
  slot.done = phase_;
  wait_for(board_.seen, phase_);
}

void Worker::note(const std::string& text) {
  put(board_.slots[index_].note, text);
}

CrewOutcome run_crew(const CrewOrder& order, const std::function<void(Worker&)>& body) {
  if (order.workers > kWorkersMax) throw SetupError("too many workers");
  return Crew(order, body).run();
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { interrupted = 1; };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    ::sigaction(signal, &action, nullptr);
}

}  // namespace holdfast::bench::fs
