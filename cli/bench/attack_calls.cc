// Valid calls: too many, or chosen so that they cost much.
#include "cli/bench/attack.h"
#include "cli/bench/attack_peer.h"
#include "cli/bench/scenario.h"

#include <functional>

namespace holdfast::bench {
namespace {

/// Files of attackers; those who are measured use lower numbers.
constexpr std::uint64_t kFile = std::uint64_t{1} << 40;
constexpr std::uint64_t kColliding = 20'000;
constexpr std::uint64_t kOwnersMet = 20'000;

/// A session that calls for ever; a new one when its connection ends.
void call_for_ever(const wire::TcpAddress& lockd, AttackCounts& counts,
                   const std::function<Command(std::uint64_t)>& next) {
  for (;;) {
    AttackCalls calls(lockd);
    if (!calls.open()) continue;
    while (calls.batch(next, counts)) {
    }
  }
}

/// splitmix64 would spread them; std::hash<FileKey> is fileid * golden ratio ^ handle_hash.
FileKey colliding_key(std::uint64_t i) {
  return {.fileid = i, .handle_hash = i * 0x9e3779b97f4a7c15ULL};
}

ByteRange byte_at(std::uint64_t i) {
  return *ByteRange::make(2 * i, 2 * i + 1);
}

}  // namespace

void attack_calls(const wire::TcpAddress& lockd, AttackCounts& counts) {
  call_for_ever(lockd, counts, [](std::uint64_t i) -> Command {
    if (i % 2 == 0) return unlock(kFile, 1);
    return exclusive(kFile, 1);
  });
}

void attack_colliding(const wire::TcpAddress& lockd, AttackCounts& counts) {
  call_for_ever(lockd, counts, [](std::uint64_t i) -> Command {
    LockRequest request = exclusive(0, 1);
    request.file = colliding_key(kFile + i % kColliding);
    return request;
  });
}

// Three sessions in turn: ranges of one file; files; waiters for one byte, whose answers are never
// acknowledged. Each goes on when its limit is reached.
void attack_full_tables(const wire::TcpAddress& lockd, AttackCounts& counts) {
  const auto ranges = [](std::uint64_t i) -> Command { return exclusive(kFile, 1, byte_at(i)); };
  const auto files = [](std::uint64_t i) -> Command { return exclusive(kFile + i, 1); };
  const auto waiters = [](std::uint64_t i) -> Command {
    LockRequest request = exclusive(kFile + 1, i);  // the second session holds it
    request.wait = Wait::kYes;
    request.kind = OwnerKind::kPosix;
    return request;
  };
  for (;;) {
    AttackCalls with_ranges(lockd);
    AttackCalls with_files(lockd);
    AttackCalls with_waiters(lockd);
    if (!with_ranges.open() || !with_files.open() || !with_waiters.open()) continue;
    while (with_ranges.batch(ranges, counts) && with_files.batch(files, counts) &&
           with_waiters.batch_unanswered(waiters, counts)) {
    }
  }
}

// One session: many owners with a byte each, and one that wants the whole file, waits, and is
// cancelled. Looking for a deadlock leads past all of them.
void attack_costly(const wire::TcpAddress& lockd, AttackCounts& counts) {
  call_for_ever(lockd, counts, [](std::uint64_t i) -> Command {
    if (i <= kOwnersMet) return exclusive(kFile, i, byte_at(i));
    if (i % 2 == 0) return CancelRequest{.target = {i - 1}};
    LockRequest request = exclusive(kFile, kOwnersMet + 1);
    request.wait = Wait::kYes;
    request.kind = OwnerKind::kPosix;
    return request;
  });
}

}  // namespace holdfast::bench
