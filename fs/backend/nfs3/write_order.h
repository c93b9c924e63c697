#pragma once
/// Which writes of one file may be on their way together: those that do not overlap. Pure.
///
/// A server may execute the calls of one connection in any order, so of two overlapping writes the
/// later one is sent only when the earlier one has been answered. First come, first served: a write
/// also waits for an earlier one that waits itself.
///
/// Invariants (check_invariants):
///  O1  Of the admitted operations on one file no two overlap.
///  O2  An operation waits only while an earlier one overlaps it.

#include "fs/backend/types.h"

#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

namespace holdfast::fs::nfs3 {

class WriteOrder {
 public:
  using Ticket = std::uint64_t;

  /// Queues an operation on [begin, end) of `file`; begin < end.
  [[nodiscard]] Ticket enter(const FileHandle& file, std::uint64_t begin, std::uint64_t end);
  [[nodiscard]] bool admitted(const FileHandle& file, Ticket ticket) const;
  /// The operation is over, or gave up waiting. Returns who is admitted now.
  std::vector<Ticket> leave(const FileHandle& file, Ticket ticket);
  [[nodiscard]] bool empty() const { return files_.empty(); }
  void check_invariants() const;

 private:
  struct Operation {
    Ticket ticket = 0;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    bool admitted = false;
    [[nodiscard]] bool overlaps(const Operation& other) const {
      return begin < other.end && other.begin < end;
    }
  };
  using Queue = std::list<Operation>;
  static bool may_go(const Queue& queue, Queue::const_iterator operation);

  std::unordered_map<FileHandle, Queue> files_;  // in order of arrival
  Ticket next_ = 1;
};

}  // namespace holdfast::fs::nfs3
