#pragma once
/// Is what is read as fresh as it must be? Of every cell the writes are remembered: when they
/// began, and when their caller was told. A read is stale if what it returns was overwritten by a
/// write that had been acknowledged before the read began. Writes at the same time may come in any
/// order.
///
/// What a mount loses together with a token, or by dying, before the storage had it, is lost: it
/// need not be seen by anybody, also not by who had asked before it was lost and is answered after.
/// What was written through is not lost with either. What fsync acknowledged is never lost.
///
/// Time is the order of events: one number for each.

#include "tests/sim/nfs_model.h"

#include <array>
#include <vector>

namespace holdfast::sim {

class Freshness {
 public:
  /// A point in time.
  using Tick = std::uint64_t;

  Freshness(World& world, std::size_t files) : world_(world), cells_(files * kCounters) {}

  // ---- Writes
  /// A write begins; its serial, which is also what the storage keeps with the value.
  [[nodiscard]] std::uint64_t begins(std::size_t mount, std::size_t file, std::size_t cell);
  void completed(std::size_t file, std::size_t cell, std::uint64_t serial);
  /// It failed, or nobody was told: it may be seen, and need not.
  void failed(std::size_t file, std::size_t cell, std::uint64_t serial);
  /// The storage has it, not on stable storage yet.
  void arrived(std::size_t file, std::size_t cell, std::uint64_t serial);
  void stable(std::size_t file, std::size_t cell, std::uint64_t serial);
  /// What the mount has written of the file and the storage has not got is gone.
  void lost(std::size_t mount, std::size_t file);
  void lost(std::size_t mount);
  void storage_restarted();
  /// A restarted storage had lost it, and it goes out once more: it may come after others.
  void goes_again(std::size_t file, std::size_t cell, std::uint64_t serial);
  /// A token that allows `mount` to keep writes to itself is given up: nothing may be left.
  void check_clean(std::size_t mount, std::size_t file);

  // ---- Reads
  /// What a read that begins now must not fall behind: writes that count, but for those that are
  /// lost before it ends.
  struct Acknowledged {
    Tick began = 0;
    std::uint64_t serial = 0;
  };
  using Floor = std::vector<Acknowledged>;
  using Floors = std::array<Floor, kCounters>;
  [[nodiscard]] Floor floor(std::size_t file, std::size_t cell) const;
  [[nodiscard]] Floors floors(std::size_t file) const;
  /// `how`: for people.
  void seen(std::size_t mount, std::size_t file, std::size_t cell, std::uint64_t serial,
            const Floor& floor, const char* how);

 private:
  static constexpr Tick kNever = UINT64_MAX;
  struct Write {
    std::uint64_t serial = 0;
    std::size_t mount = 0;
    Tick began = 0;
    Tick ended = kNever;
    bool arrived = false;
    bool stable = false;
    bool forgotten = false;  // its mount will not make it stable
  };
  std::vector<Write>& writes(std::size_t file, std::size_t cell) {
    return cells_[file * kCounters + cell];
  }
  [[nodiscard]] bool counts(const Write& write) const {
    return write.ended != kNever && !excused_[write.serial];
  }
  void goes_again(Write& write);
  Write* find(std::size_t file, std::size_t cell, std::uint64_t serial);

  World& world_;
  std::vector<std::vector<Write>> cells_;
  std::vector<Tick> ended_{0};        ///< by serial, also of writes that are forgotten
  std::vector<bool> excused_{false};  ///< lost, or not stable when the storage was restarted
  Tick now_ = 0;
};

}  // namespace holdfast::sim
