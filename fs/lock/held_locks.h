#pragma once
/// What this mount's owners hold at lockd, as far as the replies tell. Pure.
///
/// Used to give an unwanted grant back without taking what the owner had before, and to tell a
/// lockd that lost its memory what it gave us (client_core.h).
/// Thread: the loop's. Memory: one entry per held range; touching ranges that agree are one, so
/// about as many as lockd holds for us. Each change costs O(log n) and what it changes.
///
/// Invariant: pieces of one owner never overlap (check: tests/unit/wire/held_locks_test.cc, against
/// an array of bytes).

#include "holdfast/base/clock.h"
#include "holdfast/lock/message.h"

#include <compare>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace holdfast::fs {

class HeldLocks {
 public:
  struct Piece {
    ByteRange range;
    LockMode mode;
    HandleId handle;
    std::uint32_t pid = 0;
    friend bool operator==(const Piece&, const Piece&) = default;
  };
  struct Agent {
    LockSpace space;
    OwnerId owner;
    friend auto operator<=>(const Agent&, const Agent&) = default;
  };

  /// For since(): what is applied from now on is applied then.
  void see(Instant now) { now_ = now; }

  // ---- What lockd said
  /// `command` was answered with success.
  void apply(const Command& command);
  /// `command` was refused. That too can take locks: a flock conversion gives up what it had before
  /// it is refused or waits (flock(2)).
  void refused(const Command& command, LockErrc errc);
  /// Everything on `file` is gone.
  void drop(const FileKey& file);
  void clear() {
    files_.clear();
    pieces_ = 0;
  }

  /// `request` may or may not have been carried out: leaves only what the owner holds either way.
  /// True if that is less than before: shared where it was exclusive; nothing of a flock lock that
  /// is being converted.
  bool weaken(const LockRequest& request);

  // ---- What is held
  /// What `owner` holds within `range`, cut to it, in order.
  [[nodiscard]] std::vector<Piece> within(const FileKey& file, LockSpace space, OwnerId owner,
                                          const ByteRange& range) const;
  /// `request` is a flock, and its owner has one of the other mode: flock(2), "the existing lock is
  /// first removed". Whoever is refused or interrupted has it no more, however far lockd had got.
  [[nodiscard]] bool converts_flock(const LockRequest& request) const;
  /// Nothing is held, and there is no doubt about it.
  [[nodiscard]] bool empty() const { return files_.empty(); }
  [[nodiscard]] std::vector<Agent> holders(const FileKey& file) const;
  /// A database with the files tied to its wal-index, whichever of them `file` is: what protects
  /// one protects all.
  [[nodiscard]] std::vector<FileKey> lost_with(const FileKey& file) const;

  // ---- Deciding here (docs/tokens.md)
  /// What of others here is in the way of `agent`: of the owner who came first to the file, the
  /// lowest range, with the touching ones of that mode. O(owners * log ranges).
  [[nodiscard]] std::optional<Piece> conflict(const FileKey& file, Agent agent,
                                              const ByteRange& range, LockMode mode) const;
  [[nodiscard]] std::size_t pieces() const { return pieces_; }
  [[nodiscard]] bool any(const FileKey& file) const;
  [[nodiscard]] bool any_exclusive(const FileKey& file) const;
  [[nodiscard]] std::size_t pieces(const FileKey& file) const;
  [[nodiscard]] bool any_uncertain(const FileKey& file) const;
  /// All locks of `file`, in the order in which the owners came.
  [[nodiscard]] std::vector<HeldLock> locks_of(const FileKey& file) const;

  /// For people: what is held of all files with this number, and since when its owner has had
  /// anything of the file.
  struct Told {
    HeldLock lock;
    Instant since;
  };
  [[nodiscard]] std::vector<Told> told_of(std::uint64_t fileid, std::size_t count) const;

  /// As a database: its wal-index is owned here.
  [[nodiscard]] bool claimed(const FileKey& database) const;
  [[nodiscard]] bool uses_lock_bytes(const FileKey& database) const;
  /// Files with locks that are tied to its wal-index.
  [[nodiscard]] std::vector<FileKey> tied_to(const FileKey& database) const;
  /// The database whose wal-index `file` is, as long as it has locks.
  [[nodiscard]] std::optional<FileKey> database_of(const FileKey& file) const;

  // ---- Doubt
  /// Replies of this owner may have come in another order than lockd acted: what is recorded here
  /// is not to be relied on, until trust().
  void mark_uncertain(const FileKey& file, LockSpace space, OwnerId owner);
  /// What is recorded of this owner is right.
  void trust(const FileKey& file, LockSpace space, OwnerId owner);
  [[nodiscard]] bool uncertain(const FileKey& file, LockSpace space, OwnerId owner) const;
  [[nodiscard]] std::vector<FileKey> uncertain_files() const;

  // ---- Reclaim
  struct Cursor {
    FileKey file;
    Agent agent{LockSpace::kRange, OwnerId{0}};
    std::uint64_t start = 0;
  };
  /// The next at most `count` locks, but for files that `skip` names; fewer = that was all. Between
  /// calls nothing may change.
  [[nodiscard]] std::vector<HeldLock> next(
      Cursor& cursor, std::size_t count,
      const std::function<bool(const FileKey&)>& skip = nullptr) const;
  /// Whose wal-index this session owns: claimed, and a lock still held on the database's lock bytes
  /// or on a file tied to it. (lockd ends the ownership with the last of these.)
  [[nodiscard]] std::vector<FileKey> wal_databases() const;

 private:
  struct Owner {
    std::map<std::uint64_t, Piece> pieces;  // by start
    bool uncertain = false;
    std::uint64_t arrived = 0;  // orders owners by when they came to the file
    Instant since{};            // the same, as time
    [[nodiscard]] bool forgettable() const { return pieces.empty() && !uncertain; }
  };
  struct File {
    std::map<Agent, Owner> owners;
    std::map<std::pair<HandleId, Agent>, std::size_t> through;  // pieces set through a handle
    std::size_t pieces = 0;
    std::size_t database_pieces = 0;  // on the lock bytes of a SQLite database
    std::optional<FileKey> database;  // whose wal-index it is
    std::set<FileKey> tied;           // as a database: files with locks that are tied to it
    bool claimed = false;             // as a database: its wal-index
  };
  using Files = std::map<FileKey, File>;

  void apply_one(const LockRequest& request);
  void apply_one(const UnlockRequest& request);
  void apply_one(const ReleaseOwnerRequest& request);
  void apply_one(const ReleaseHandleRequest& request);
  void apply_one(const QueryRequest&) {}
  void apply_one(const CancelRequest&) {}
  void apply_one(const ClaimWalRequest& request);
  void apply_one(const TokenRequest&) {}
  void apply_one(const PushLocks&) {}
  void apply_one(const TokenRelease&) {}
  void apply_one(const TokenAssert&) {}

  void add(File& file, Agent agent, Owner& owner, const Piece& piece);
  std::map<std::uint64_t, Piece>::iterator remove(File& file, Agent agent, Owner& owner,
                                                  std::map<std::uint64_t, Piece>::iterator at);
  void carve(File& file, Agent agent, Owner& owner, const ByteRange& hole);
  void merge_around(File& file, Agent agent, Owner& owner, std::uint64_t start);
  static std::map<std::uint64_t, Piece>::iterator first_in(Owner& owner, const ByteRange& range);
  void free(const FileKey& key, Agent agent, const ByteRange& range);
  void tidy(const FileKey& key);
  void review(const FileKey& database);
  [[nodiscard]] const Owner* find(const FileKey& file, Agent agent) const;

  Files files_;
  std::uint64_t last_arrival_ = 0;
  std::size_t pieces_ = 0;  // of all files
  Instant now_{};
};

}  // namespace holdfast::fs
