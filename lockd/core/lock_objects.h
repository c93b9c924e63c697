#pragma once
/// The objects of the lock table and how they hang together. Plain data; the rules are in
/// range_table, wait_queue, wait_graph and locks.
///
///   SessionLocks ──owns──> Agent ──owns──> Holding ──owns──> HeldRange
///        │                   │                │                  │ in both trees
///        └──owns──> Waiter ──┘                └──in──> FileSpace ┘
///
/// SessionLocks is the one clean-up index: whatever a session holds, waits for or claims, in any
/// file and either space, hangs on it and nowhere else. A million ranges are normal, so HeldRange
/// and Holding are kept small (tests/bench/lockd measures bytes per lock).

#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"
#include "lockd/core/range_tree.h"
#include "lockd/core/reach.h"
#include "lockd/core/salted_hash.h"
#include "lockd/core/treap.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace holdfast::lockd {

struct Agent;
struct File;
struct FileSpace;
struct Holding;
struct SessionLocks;
struct Waiter;

/// A file of a volume.
struct FileId {
  VolumeId volume{};
  FileKey key;
  friend constexpr auto operator<=>(const FileId&, const FileId&) = default;
};
struct FileIdHash {
  SaltedHash hash;
  std::size_t operator()(const FileId& id) const noexcept {
    static_assert(sizeof id.volume == 2 * sizeof(std::uint64_t));
    std::array<std::uint64_t, 2> volume{};
    std::memcpy(volume.data(), id.volume.data(), sizeof volume);
    return hash.of({volume[0], volume[1], id.key.fileid, id.key.handle_hash});
  }
};

struct HeldRange {
  ByteRange range = ByteRange::whole_file();
  Holding* holding = nullptr;
  LockMode mode = LockMode::kShared;
  std::uint16_t priority = 0;
  std::uint32_t pid = 0;
  HeldRange* own_left = nullptr;  ///< in the tree of its holding
  HeldRange* own_right = nullptr;
  HandleId handle;  ///< through which it was last set
  FencingToken token;
  Instant since;
};

struct OwnTraits {
  static HeldRange*& left(HeldRange& node) { return node.own_left; }
  static HeldRange*& right(HeldRange& node) { return node.own_right; }
  static std::uint32_t priority(const HeldRange& node) { return node.priority; }
  static bool less(const HeldRange& a, const HeldRange& b) {
    return a.range.start() < b.range.start();
  }
  static void summarize(HeldRange&) {}
};

/// What one owner holds in one space of one file. Lives while it has ranges.
struct Holding {
  Agent* agent = nullptr;
  FileSpace* space = nullptr;
  /// Order in which owners came to this space; Linux lists locks by owner in that order.
  std::uint64_t seq = 0;
  Treap<HeldRange, OwnTraits> ranges;  ///< owned; disjoint, so ordered by start and by end
  std::uint32_t count = 0;
};

/// A blocking request that was not granted at once.
struct Waiter {
  ByteRange range = ByteRange::whole_file();
  LockMode mode = LockMode::kShared;
  OwnerKind kind = OwnerKind::kUnchecked;
  /// It may be granted although an earlier waiter conflicts with it (see Locks, "fairness").
  bool may_overtake = false;
  bool settling = false;  ///< in Locks' list of waiters to look at
  std::uint32_t pid = 0;
  std::uint32_t priority = 0;
  Agent* agent = nullptr;
  FileSpace* space = nullptr;
  RequestNumber number;
  HandleId handle;
  std::optional<FileKey> wal_database;
  std::uint64_t seq = 0;  ///< order of arrival over all files
  Instant since;
  Instant patience_until;  ///< when being overtaken by nobody is looked at again
  // The latest earlier waiter that it conflicts with and must not overtake, or null: then only
  // holders are in its way, and it is looked at whenever bytes of its range become free.
  Waiter* behind = nullptr;
  Waiter* followers = nullptr;  ///< those that have behind == this
  Waiter* follower_next = nullptr;
  Waiter* follower_prev = nullptr;
  // In the tree of its space.
  Waiter* left = nullptr;
  Waiter* right = nullptr;
  Reaches reaches;
  std::uint64_t seq_min = 0;
  std::uint64_t seq_max = 0;
  std::uint64_t front_end = 0;  ///< furthest end among the waiters with behind == null

  [[nodiscard]] const void* owner() const { return agent; }
};

struct WaiterTraits {
  static Waiter*& left(Waiter& node) { return node.left; }
  static Waiter*& right(Waiter& node) { return node.right; }
  static std::uint32_t priority(const Waiter& node) { return node.priority; }
  static bool less(const Waiter& a, const Waiter& b) {
    if (a.range.start() != b.range.start()) return a.range.start() < b.range.start();
    return a.seq < b.seq;
  }
  static void summarize(Waiter& node) {
    node.reaches = {};
    node.reaches.add(node.range.end(), node.mode, node.agent);
    node.seq_min = node.seq_max = node.seq;
    node.front_end = node.behind == nullptr ? node.range.end() : 0;
    for (const Waiter* child : {node.left, node.right}) {
      if (child == nullptr) continue;
      node.reaches.add(child->reaches);
      node.seq_min = std::min(node.seq_min, child->seq_min);
      node.seq_max = std::max(node.seq_max, child->seq_max);
      node.front_end = std::max(node.front_end, child->front_end);
    }
  }
};

/// The locks of one file in one space: POSIX and OFD, or flock.
struct FileSpace {
  File* file = nullptr;
  LockSpace kind = LockSpace::kRange;
  RangeTree held;
  Treap<Waiter, WaiterTraits> waiters;
  std::uint32_t held_count = 0;
  std::uint32_t waiter_count = 0;
};

struct File {
  FileId id;
  FileSpace range;
  FileSpace flock;
  bool idle_listed = false;  ///< Locks looks whether it is idle at the end of the call

  explicit File(const FileId& file) : id(file) {
    range.file = flock.file = this;
    flock.kind = LockSpace::kFlock;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] FileSpace& space(LockSpace kind) {
    return kind == LockSpace::kRange ? range : flock;
  }
  [[nodiscard]] bool idle() const {
    return range.held_count + range.waiter_count + flock.held_count + flock.waiter_count == 0;
  }
};

/// An owner: (session, space, OwnerId). Lives while it holds or waits for something.
struct AgentKey {
  LockSpace space = LockSpace::kRange;
  OwnerId owner;
  friend constexpr auto operator<=>(const AgentKey&, const AgentKey&) = default;
};
struct AgentKeyHash {
  SaltedHash hash;
  std::size_t operator()(const AgentKey& key) const noexcept {
    return hash.of({key.owner.value, static_cast<std::uint64_t>(key.space)});
  }
};
struct Agent {
  SessionLocks* session = nullptr;
  AgentKey key;
  std::unordered_map<FileSpace*, Holding> holdings;
  std::map<std::uint64_t, Waiter*> waiters;  ///< by seq
  bool idle_listed = false;                  ///< as in File
};

/// Everything that one session holds, waits for or claims.
struct SessionLocks {
  explicit SessionLocks(HashSalt salt) : agents(0, AgentKeyHash{SaltedHash(salt)}) {}

  SessionId id;
  VolumeId volume{};
  std::unordered_map<AgentKey, std::unique_ptr<Agent>, AgentKeyHash> agents;
  std::unordered_map<RequestNumber, std::unique_ptr<Waiter>> waiters;
  /// How many ranges and waiters of an agent carry a handle's tag: what RELEASE looks for.
  std::map<std::pair<HandleId, Agent*>, std::uint32_t> tags;
  std::set<FileId> wal_databases;  ///< whose wal-index it owns
  std::uint64_t range_count = 0;
  bool ended = false;
  bool absent = false;  ///< its lease is over; it waits for nothing and is granted nothing
};

}  // namespace holdfast::lockd
