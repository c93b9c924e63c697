#include "cli/bench/attack.h"

#include "cli/bench/own_lockd.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <new>

#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace holdfast::bench {
namespace {

constexpr int kLessImportant = 5;  // nice(2)

constexpr std::array kKinds = std::to_array<AttackKind>({
    {"neighbour", "a busy process that talks to nobody", "", attack_spin},
    {"random", "random bytes", "connections", attack_random},
    {"truncated", "a Hello cut short", "connections", attack_truncated},
    {"oversized", "frames above the limit", "frames", attack_oversized},
    {"misplaced", "valid frames out of place", "frames", attack_misplaced},
    {"versions", "versions that nobody speaks", "Hellos", attack_versions},
    {"guessing", "resumes sessions with guessed ids and secrets", "Hellos", attack_guessing},
    {"large", "well-formed frames of 1 MiB", "frames", attack_large},
    {"calls", "valid lock calls of one session without pause", "calls", attack_calls},
    {"half-open", "1,000 connections that say nothing", "connections", attack_half_open},
    {"slow-loris", "1,000 Hellos, one byte a second", "bytes", attack_slow_loris},
    {"deaf", "16 sessions that ask without end and read no answer", "requests", attack_deaf},
    {"connections", "connects and hangs up", "connections", attack_connections},
    {"sessions", "opens sessions and leaves them", "sessions", attack_sessions},
    {"colliding", "files whose keys hash to one bucket", "calls", attack_colliding},
    {"full-tables", "ranges, waiters, files, unacknowledged calls up to their limits", "calls",
     attack_full_tables},
    {"costly", "waits that meet 20,000 owners, cancelled and asked again", "calls", attack_costly},
});

}  // namespace

std::span<const AttackKind> attack_kinds() {
  return kKinds;
}

void pin(pid_t pid, int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  static_cast<void>(::sched_setaffinity(pid, sizeof set, &set));
}

Attack::Attack(const AttackKind& kind, const wire::TcpAddress& lockd, std::optional<int> cpu) {
  void* room = ::mmap(nullptr, sizeof(AttackCounts), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (room == MAP_FAILED) throw SetupError(fmt::format("mmap: {}", std::strerror(errno)));
  counts_ = new (room) AttackCounts;
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) {
    ::munmap(room, sizeof(AttackCounts));
    throw SetupError(fmt::format("cannot fork: {}", std::strerror(errno)));
  }
  if (pid_ > 0) return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);  // it died before the line above
  if (cpu) pin(0, *cpu);
  static_cast<void>(::nice(kLessImportant));
  try {
    kind.run(lockd, *counts_);
  } catch (const std::exception& error) {
    ::dprintf(STDERR_FILENO, "attack %s: %s\n", kind.name, error.what());
  }
  ::_exit(1);
}

Attack::~Attack() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  ::munmap(counts_, sizeof(AttackCounts));
}

bool Attack::running() {
  if (pid_ <= 0) return false;
  if (::waitpid(pid_, nullptr, WNOHANG) == 0) return true;
  pid_ = -1;
  return false;
}

}  // namespace holdfast::bench
