#include "fs/backend/nfs3/write_order.h"

#include "holdfast/base/assert.h"

#include <algorithm>
#include <iterator>

namespace holdfast::fs::nfs3 {

bool WriteOrder::may_go(const Queue& queue, Queue::const_iterator operation) {
  return std::none_of(queue.begin(), operation,
                      [&](const Operation& earlier) { return earlier.overlaps(*operation); });
}

WriteOrder::Ticket WriteOrder::enter(const FileHandle& file, std::uint64_t begin,
                                     std::uint64_t end) {
  HOLDFAST_ASSERT(begin < end, "an empty range has no order");
  Queue& queue = files_[file];
  const Ticket ticket = next_++;
  queue.push_back({.ticket = ticket, .begin = begin, .end = end});
  queue.back().admitted = may_go(queue, std::prev(queue.end()));
  return ticket;
}

bool WriteOrder::admitted(const FileHandle& file, Ticket ticket) const {
  const auto it = files_.find(file);
  if (it == files_.end()) return false;
  return std::any_of(it->second.begin(), it->second.end(),
                     [&](const Operation& o) { return o.ticket == ticket && o.admitted; });
}

std::vector<WriteOrder::Ticket> WriteOrder::leave(const FileHandle& file, Ticket ticket) {
  std::vector<Ticket> woken;
  const auto it = files_.find(file);
  if (it == files_.end()) return woken;
  Queue& queue = it->second;
  queue.remove_if([&](const Operation& o) { return o.ticket == ticket; });
  for (auto operation = queue.begin(); operation != queue.end(); ++operation) {
    if (operation->admitted || !may_go(queue, operation)) continue;
    operation->admitted = true;
    woken.push_back(operation->ticket);
  }
  if (queue.empty()) files_.erase(it);
  return woken;
}

void WriteOrder::check_invariants() const {
  for (const auto& [file, queue] : files_) {
    for (auto a = queue.begin(); a != queue.end(); ++a) {
      HOLDFAST_ASSERT(a->admitted == may_go(queue, a), "O2: a write waits for nothing");
      for (auto b = std::next(a); b != queue.end(); ++b)
        HOLDFAST_ASSERT(!(a->admitted && b->admitted && a->overlaps(*b)),
                        "O1: overlapping writes are on their way together");
    }
  }
}

}  // namespace holdfast::fs::nfs3
