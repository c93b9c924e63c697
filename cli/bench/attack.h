#pragma once
/// Clients that break the protocol, or keep to it and are a burden. Each kind runs in a process of
/// its own until it is ended; none outlives this one.

#include "holdfast/wire/address.h"

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>

#include <sys/types.h>

namespace holdfast::bench {

/// What an attacker has done so far, in memory that both processes see.
struct AttackCounts {
  std::atomic<std::uint64_t> done{0};
};

struct AttackKind {
  const char* name;
  const char* what;  ///< in words
  const char* unit;  ///< what AttackCounts::done counts
  /// In the attacker's process; does not return.
  void (*run)(const wire::TcpAddress& lockd, AttackCounts& counts);
};

/// The first one talks to nobody: what a busy neighbour costs.
[[nodiscard]] std::span<const AttackKind> attack_kinds();

class Attack {
 public:
  /// Starts it, on `cpu` if given, a little less important than whoever is measured. Throws
  /// SetupError.
  Attack(const AttackKind& kind, const wire::TcpAddress& lockd, std::optional<int> cpu);
  /// Ends it (SIGKILL).
  ~Attack();
  Attack(const Attack&) = delete;
  Attack& operator=(const Attack&) = delete;

  [[nodiscard]] std::uint64_t done() const { return counts_->done; }
  /// Nothing has ended it: none is meant to end by itself.
  [[nodiscard]] bool running();

 private:
  AttackCounts* counts_;  // shared memory, ours to unmap
  pid_t pid_ = -1;
};

/// Keeps a process on one processor; nothing happens if that is not possible.
void pin(pid_t pid, int cpu);

// The kinds, by file.
// attack_frames.cc
void attack_spin(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_random(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_truncated(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_oversized(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_misplaced(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_versions(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_guessing(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_large(const wire::TcpAddress& lockd, AttackCounts& counts);
// attack_connections.cc
void attack_half_open(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_slow_loris(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_deaf(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_connections(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_sessions(const wire::TcpAddress& lockd, AttackCounts& counts);
// attack_calls.cc
void attack_calls(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_colliding(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_full_tables(const wire::TcpAddress& lockd, AttackCounts& counts);
void attack_costly(const wire::TcpAddress& lockd, AttackCounts& counts);

}  // namespace holdfast::bench
